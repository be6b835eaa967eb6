/**
 * Keeps Node's native HTTP/2 session from being collected before the last of its streams. Node lets go of it the moment
 * the session ends, but frees the streams that ended with it only at the end of the turn. Fields of a header block that
 * was refused (RFC 9113 section 8.1.1) stay in such a stream, counted as the session's memory; the collector coming in
 * between finds memory left and Node aborts the process. Knows nothing of frames or requests.
 */
import { executionAsyncResource } from 'node:async_hooks'
import type { ServerHttp2Session } from 'node:http2'

/** Keeps what is native of `session` until the turn after its end is over. */
export function keepNative(session: ServerHttp2Session): void {
  let native: object | null = null
  // A client's first frame must be SETTINGS, and its event comes straight from the native session, which is therefore
  // the resource that is executing. Before it there are no streams.
  session.once('remoteSettings', () => {
    native = executionAsyncResource()
  })
  session.once('close', () => keepForTurns(native, 2))
}

/** One turn for the streams to be freed, which Node does before it comes to what is set here; one to spare. */
function keepForTurns(native: object | null, turns: number): void {
  if (native !== null && turns > 0) setImmediate(keepForTurns, native, turns - 1)
}
