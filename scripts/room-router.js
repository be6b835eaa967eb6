// WebSocket room router: everybody in a room reaches the same server. The room is the part of the path behind the
// prefix, as in /rooms/lobby; the server is told who has come, again when the proxy had to connect to another one.
//
//     location /rooms/ {
//         script scripts/room-router.js prefix=/rooms/;
//         proxy_pass http://chat;
//         ws_reconnect on;
//     }
//
//   prefix   of the path                                                             /rooms/

const { prefix = '/rooms/' } = sluice.params

/**
 * The room's name, or null.
 * @param {Sluice.Request} r
 */
function roomOf(r) {
  if (!r.uri.startsWith(prefix)) return null
  const name = r.uri.slice(prefix.length)
  return /^[\w-]{1,64}$/.test(name) ? name : null
}

/** @type {Sluice.Access} */
export function access(r) {
  if (roomOf(r) === null) return { status: 404, body: 'no such room\n' }
}

/** @type {Sluice.Balancer} */
export function balancer(r, upstream) {
  return upstream.hash(roomOf(r) ?? '', { consistent: true })
}

/** @type {Sluice.WsOpen} */
export function wsOpen(r, ws) {
  const again = ws.reconnects > 0
  ws.send('upstream', JSON.stringify({ type: 'join', room: roomOf(r), user: r.args.user ?? 'guest', again }))
}
