// A user stays with the application that had the fewest requests in flight when the user came, on every machine.

import { map } from 'sluice:store'

const users = map('users')

/** @type {Sluice.Balancer} */
export async function balancer(r, upstream) {
  const user = r.variables.arg_userId
  if (user === undefined) return
  const name = await users.getOrSet(user, () => upstream.leastConn()?.name ?? '')
  const peer = upstream.peers.find((each) => each.name === name)
  if (peer !== undefined && !peer.down && peer.fails === 0) return peer
  // It is gone, or fails. Of all who notice, on whatever machine, one puts another in its place.
  const next = upstream.leastConn()
  if (next === null) return
  try {
    return await users.replace(user, name, next.name)
  } catch {
    return upstream.hash(user, { consistent: true })
  }
}
