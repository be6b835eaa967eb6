// WebSocket message filter: what clients send to a chat is looked at before it is passed on. JSON texts of known types
// and bounded length pass, listed words are covered; what the server sends is passed on as it is.
//
//     script scripts/message-filter.js types=message,typing words=darn,heck max=2000;
//
//   types   of messages that pass, by their "type"                                   message,typing
//   words   to be covered in their "text"
//   max     characters of a message                                                  2000

const { types = 'message,typing', words = '', max = '2000' } = sluice.params

const known = new Set(types.split(','))
const listed = words.split(',').filter((word) => word !== '')
const covered = listed.length === 0 ? null : new RegExp(`\\b(?:${listed.map(literal).join('|')})\\b`, 'giu')

/** @param {string} word */
function literal(word) {
  return word.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')
}

/** @type {Sluice.WsMessage} */
export function wsMessage(_r, msg, ws) {
  if (msg.from === 'upstream') return
  if (typeof msg.data !== 'string') {
    ws.close(1003, 'texts only')
    return null
  }
  if (msg.data.length > Number(max)) return refuse(ws, 'too long')
  const message = read(msg.data)
  if (message === null || !known.has(String(message.type))) return refuse(ws, 'not understood')
  if (covered === null || typeof message.text !== 'string') return
  const text = message.text.replace(covered, (word) => '*'.repeat(word.length))
  if (text !== message.text) return JSON.stringify({ ...message, text })
}

/**
 * The message's object, or null.
 * @param {string} text
 * @returns {Record<string, unknown> | null}
 */
function read(text) {
  try {
    const value = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : null
  } catch {
    return null
  }
}

/**
 * The sender is told; nobody else sees the message.
 * @param {Sluice.WebSocket} ws
 * @param {string} reason
 */
function refuse(ws, reason) {
  ws.send('client', JSON.stringify({ type: 'refused', reason }))
  return null
}
