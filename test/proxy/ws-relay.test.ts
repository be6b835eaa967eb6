// A WebSocket through a location with ws* hooks: handshakes, messages both ways, what hooks may do, how it ends.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type HookRequest, Outcome, type WebSocketEnd } from '../../runtime/phases.ts'
import { rawRequest } from '../lib/raw-http.ts'
import { until } from './journey-tools.ts'
import { handUpstream, hookedGateway, KEY, openEnd, PING, PONG, TEXT } from './ws-tools.ts'

const upstream = await handUpstream()
const sluice = await hookedGateway(`
  location /ws { proxy_pass http://${upstream.address}; ws_permessage_deflate off; ws_close_timeout 500ms; }
  location /small { proxy_pass http://${upstream.address}; ws_max_message_size 100; ws_send_queue 150; ws_close_timeout 500ms; }
  location /plain { proxy_pass http://${upstream.address}; }
`)
test.after(async () => {
  await sluice.close()
  await upstream.close()
})

const pass = () => Outcome.PASS
const text = (x: HookRequest) => Buffer.from(x.webSocket!.message!.data).toString()

/** Both ends of a WebSocket at /ws. */
async function pair(path = '/ws') {
  const count = upstream.ends.length + 1
  const client = await openEnd(sluice.port, path)
  return { client, peer: await upstream.next(count) }
}

test('messages pass both ways, text and binary, in their order', async () => {
  sluice.hook('/ws', { wsMessage: pass })
  const { client, peer } = await pair()
  assert.match(client.head, /^HTTP\/1\.1 101 Switching Protocols\r\n/)
  assert.match(client.head, /\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/)
  assert.not.match(client.head, /Extensions/i)
  assert.match(peer.head, new RegExp(`\r\nSec-WebSocket-Key: ${KEY.replaceAll('+', '\\+')}\r\n`))
  client.text('one')
  client.send(2, Buffer.from([0, 255]))
  client.text('')
  assert.equal(await peer.seen(3), ['text one', 'binary 00ff', 'text'])
  assert.ok(peer.frames.every((frame) => frame.masked))
  peer.text('back')
  assert.equal(await client.seen(1), ['text back'])
  assert.not.ok(client.frames[0]!.masked)
  client.socket.destroy()
})

test('hooks replace, drop, send to either side', async () => {
  sluice.hook('/ws', {
    wsMessage: (x) => {
      const ws = x.webSocket!
      const said = text(x)
      if (said === 'drop') return Outcome.DROPPED
      if (said === 'echo') {
        ws.send('client', Buffer.from('echoed'), false)
        return Outcome.DROPPED
      }
      ws.replace(Buffer.from(`${ws.message!.from}:${said}`), ws.message!.binary)
      return Outcome.REPLACED
    },
  })
  const { client, peer } = await pair()
  for (const word of ['a', 'drop', 'echo', 'b']) client.text(word)
  assert.equal(await peer.seen(2), ['text client:a', 'text client:b'])
  peer.text('c')
  assert.equal(await client.seen(2), ['text echoed', 'text upstream:c'])
  client.socket.destroy()
})

test('wsOpen comes first, then messages, wsClose once, the log', async () => {
  await until('the others are over', () => sluice.gateway.connectionCount === 0)
  const calls: string[] = []
  let end: WebSocketEnd | null = null
  sluice.hook('/ws', {
    wsOpen: (x) => {
      calls.push('open')
      x.webSocket!.send('upstream', Buffer.from('login'), false)
      return Outcome.PASS
    },
    wsMessage: (x) => {
      calls.push(`message ${text(x)}`)
      return Outcome.PASS
    },
    wsClose: (x) => {
      calls.push('close')
      end = x.webSocket!.end
      return Outcome.PASS
    },
    log: () => {
      calls.push('log')
      return Outcome.PASS
    },
  })
  const { client, peer } = await pair()
  client.text('hi')
  assert.equal(await peer.seen(2), ['text login', 'text hi'])
  client.close(4001, 'bye')
  assert.equal((await peer.seen(3))[2], 'close 4001 bye')
  assert.equal(await client.seen(1), ['close 4001 bye'])
  peer.close(4001, 'bye')
  await client.gone()
  await until('the log', () => calls.includes('log'))
  assert.equal(calls, ['open', 'message hi', 'close', 'log'])
  assert.equal(end, { by: 'client', code: 4001, reason: 'bye' })
})

test('pings are answered on each side and not passed on', async () => {
  sluice.hook('/ws', { wsMessage: pass })
  const { client, peer } = await pair()
  client.send(PING, 'from client')
  peer.send(PING, 'from peer')
  client.send(PONG, 'unasked')
  assert.equal(await client.seen(1), ['pong from client'])
  assert.equal(await peer.seen(1), ['pong from peer'])
  client.text('x')
  assert.equal((await peer.seen(2))[1], 'text x')
  client.socket.destroy()
})

test('closes without a code, from the upstream, by a script, with a failing hook', async () => {
  await until('the others are over', () => sluice.gateway.connectionCount === 0)
  let end: WebSocketEnd | null = null
  const wsClose = (x: HookRequest) => {
    end = x.webSocket!.end
    return Outcome.PASS
  }
  sluice.hook('/ws', {
    wsClose,
    wsMessage: (x) => {
      if (text(x) !== 'go away') return Outcome.FAILED
      x.webSocket!.close(4003, 'not you')
      return Outcome.PASS
    },
  })
  const bare = await pair()
  bare.client.send(8)
  assert.equal(await bare.peer.seen(1), ['close'])
  assert.equal(await bare.client.seen(1), ['close'])
  bare.peer.send(8)
  await bare.client.gone()
  assert.equal(end, { by: 'client', code: 1005, reason: '' })

  const fromPeer = await pair()
  fromPeer.peer.close(1001, 'restart')
  assert.equal(await fromPeer.client.seen(1), ['close 1001 restart'])
  assert.equal(await fromPeer.peer.seen(1), ['close 1001 restart'])
  fromPeer.client.close(1001)
  await fromPeer.client.gone()
  assert.equal(end, { by: 'upstream', code: 1001, reason: 'restart' })

  const scripted = await pair()
  scripted.client.text('go away')
  assert.equal(await scripted.client.seen(1), ['close 4003 not you'])
  assert.equal(await scripted.peer.seen(1), ['close 4003 not you'])
  assert.equal(end, { by: 'script', code: 4003, reason: 'not you' })
  scripted.client.socket.destroy()

  const failing = await pair()
  failing.client.text('boom')
  assert.equal(await failing.client.seen(1), ['close 1011'])
  assert.equal(await failing.peer.seen(1), ['close 1011'])
  assert.equal(end, { by: 'proxy', code: 1011, reason: '' })
  failing.client.socket.destroy()
})

test('a side that is lost: 1006 for the script, a close frame for the other side', async () => {
  await until('the others are over', () => sluice.gateway.connectionCount === 0)
  const ends: WebSocketEnd[] = []
  sluice.hook('/ws', {
    wsClose: (x) => {
      ends.push(x.webSocket!.end!)
      return Outcome.PASS
    },
  })
  const one = await pair()
  one.client.socket.destroy()
  assert.equal(await one.peer.seen(1), ['close 1001'])
  const two = await pair()
  two.peer.socket.destroy()
  assert.equal(await two.client.seen(1), ['close 1011'])
  await two.client.gone()
  const three = await pair()
  three.peer.text('last words')
  three.peer.socket.end()
  assert.equal(await three.client.seen(2), ['text last words', 'close 1011'])
  await until('three ends', () => ends.length === 3)
  assert.equal(
    ends.map(({ by, code }) => `${by} ${code}`),
    ['client 1006', 'upstream 1006', 'upstream 1006'],
  )
})

test('a close handshake that the other side does not complete is bounded', async () => {
  sluice.hook('/ws', { wsClose: pass })
  const { client, peer } = await pair()
  const began = Date.now()
  client.close(1000)
  await client.seen(1)
  await peer.gone()
  const took = Date.now() - began
  assert.ok(took >= 450 && took < 3000, `${took} ms`)
})

test('order is kept when a hook waits; the other direction waits too', async () => {
  const waiting: { x: HookRequest; said: string }[] = []
  sluice.hook('/ws', {
    wsMessage: (x) => {
      if (!text(x).startsWith('slow')) return Outcome.PASS
      waiting.push({ x, said: text(x) })
      return Outcome.SUSPENDED
    },
  })
  const { client, peer } = await pair()
  client.text('slow 1')
  client.text('fast 2')
  await until('the hook', () => waiting.length === 1)
  peer.text('from peer')
  await new Promise((next) => setTimeout(next, 50))
  assert.equal(peer.words, [])
  assert.equal(client.words, [])
  waiting[0]!.x.webSocket!.replace(Buffer.from('done 1'), false)
  waiting[0]!.x.hookSettled(Outcome.REPLACED)
  assert.equal(await peer.seen(2), ['text done 1', 'text fast 2'])
  assert.equal(await client.seen(1), ['text from peer'])
  client.text('slow 3')
  client.close(1000)
  await until('the hook again', () => waiting.length === 2)
  waiting[1]!.x.hookSettled(Outcome.PASS)
  assert.equal((await peer.seen(4)).slice(2), ['text slow 3', 'close 1000'])
  client.socket.destroy()
})

test('messages that come during wsOpen wait for it', async () => {
  let open: HookRequest | null = null
  sluice.hook('/ws', {
    wsOpen: (x) => {
      open = x
      return Outcome.SUSPENDED
    },
    wsMessage: pass,
  })
  const { client, peer } = await pair()
  client.text('early')
  peer.text('early too')
  await new Promise((next) => setTimeout(next, 50))
  assert.equal([...peer.words, ...client.words], [])
  open!.webSocket!.send('upstream', Buffer.from('login'), false)
  open!.hookSettled(Outcome.PASS)
  assert.equal(await peer.seen(2), ['text login', 'text early'])
  assert.equal(await client.seen(1), ['text early too'])
  client.socket.destroy()
})

test('what ws.send and ws.close refuse', async () => {
  const refused: string[] = []
  const attempt = (work: () => void) => {
    try {
      work()
    } catch (error) {
      refused.push((error as Error).message)
    }
  }
  sluice.hook('/small', {
    wsMessage: (x) => {
      const ws = x.webSocket!
      attempt(() => ws.send('client', Buffer.alloc(101), true))
      attempt(() => ws.close(1005, ''))
      attempt(() => ws.close(999, ''))
      attempt(() => ws.close(1000, 'x'.repeat(124)))
      attempt(() => ws.close(1000, '\xff'))
      ws.close(1000, '')
      attempt(() => ws.send('client', Buffer.from('late'), false))
      return Outcome.PASS
    },
  })
  const { client } = await pair('/small')
  client.text('x')
  assert.equal(await client.seen(1), ['close 1000'])
  assert.equal(refused, [
    'a message has at most 100 bytes (ws_max_message_size)',
    '1005 is not a close code that may be sent: 1000 to 1014 or 3000 to 4999',
    '999 is not a close code that may be sent: 1000 to 1014 or 3000 to 4999',
    'a close reason has at most 123 bytes',
    'a close reason is text',
    'the WebSocket is closed',
  ])
  client.socket.destroy()
})

test('text of a script that is not UTF-8 goes out with U+FFFD', async () => {
  sluice.hook('/ws', {
    wsMessage: (x) => {
      x.webSocket!.replace(Buffer.from([0x61, 0xed, 0xa0, 0x80]), false)
      return Outcome.REPLACED
    },
  })
  const { client, peer } = await pair()
  client.text('x')
  assert.equal(await peer.seen(1), ['text a\ufffd\ufffd\ufffd'])
  client.socket.destroy()
})

test('handshakes of a client that are refused', async () => {
  sluice.hook('/ws', { wsMessage: pass })
  const ask = (fields: string) =>
    rawRequest(
      sluice.port,
      `GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n${fields}\r\n`,
    )
  const before = upstream.ends.length
  assert.match(await ask(''), /^HTTP\/1\.1 426 [\s\S]*\r\nSec-WebSocket-Version: 13\r\n/)
  assert.match(await ask(`Sec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Version: 8\r\n`), /^HTTP\/1\.1 426 /)
  const version = 'Sec-WebSocket-Version: 13\r\n'
  assert.match(await ask(version), /^HTTP\/1\.1 400 /)
  assert.match(await ask(`${version}Sec-WebSocket-Key: c2hvcnQ=\r\n`), /^HTTP\/1\.1 400 /)
  const good = `${version}Sec-WebSocket-Key: ${KEY}\r\n`
  assert.match(await ask(`${good}Sec-WebSocket-Protocol: a,,b\r\n`), /^HTTP\/1\.1 400 /)
  assert.is(upstream.ends.length, before)
})

test('answers of an upstream that are refused', async () => {
  sluice.hook('/ws', { wsMessage: pass })
  const good = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
  const accept = 'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n'
  const answers = [
    `${good}\r\n`,
    `${good}Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n`,
    `${good}${accept}Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n`,
    `${good}${accept}Sec-WebSocket-Protocol: other\r\n\r\n`,
    `${good.replace('websocket', 'raw')}${accept}\r\n`,
  ]
  for (const answer of answers) {
    upstream.answer = () => answer
    const { head, socket } = await openEnd(sluice.port, '/ws', 'Sec-WebSocket-Protocol: chat\r\n')
    assert.match(head, /^HTTP\/1\.1 502 /, answer)
    socket.destroy()
  }
  upstream.answer = () => 'HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno'
  const refused = await openEnd(sluice.port, '/ws')
  assert.match(refused.head, /^HTTP\/1\.1 403 /)
  refused.socket.destroy()
  upstream.answer = null
})

test('another protocol does not slip past the hooks', async () => {
  sluice.hook('/ws', { wsMessage: pass })
  upstream.answer = () => 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: raw\r\nConnection: Upgrade\r\n\r\n'
  const response = await rawRequest(
    sluice.port,
    'GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade, close\r\nUpgrade: raw\r\n\r\n',
  )
  upstream.answer = null
  assert.match(response, /^HTTP\/1\.1 502 /)
})

test('subprotocols pass through; a header filter may change the 101', async () => {
  let seen = ''
  sluice.hook('/ws', {
    headerFilter: (x) => {
      x.responseHeaders.set('X-Filtered', x.webSocket!.protocol)
      return Outcome.PASS
    },
    wsOpen: (x) => {
      seen = x.webSocket!.protocol
      return Outcome.PASS
    },
  })
  upstream.fields = 'Sec-WebSocket-Protocol: v2.chat\r\n'
  const client = await openEnd(sluice.port, '/ws', 'Sec-WebSocket-Protocol: v1.chat, v2.chat\r\n')
  upstream.fields = ''
  assert.match(client.head, /\r\nSec-WebSocket-Protocol: v2\.chat\r\n/)
  assert.match(client.head, /\r\nX-Filtered: v2\.chat\r\n/)
  assert.match(upstream.ends.at(-1)!.head, /\r\nSec-WebSocket-Protocol: v1\.chat, v2\.chat\r\n/)
  assert.is(seen, 'v2.chat')
  client.socket.destroy()
})

test('without ws* hooks the bytes are nobody’s business', async () => {
  const { client, peer } = await pair('/plain')
  client.send(TEXT, 'not masked, not checked', { mask: false, rsv: 3 })
  assert.equal(await peer.seen(1), ['text not masked, not checked'])
  client.socket.destroy()
  peer.socket.destroy()
})

test('nothing is left', async () => {
  const { gateway } = sluice
  await until('all is over', () => gateway.connectionCount === 0 && gateway.generation.pins === 0)
  assert.equal(
    sluice.log.filter((line) => /^\[(alert|emerg|crit)\]/.test(line)),
    [],
  )
})

test.run()
