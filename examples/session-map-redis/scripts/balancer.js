// A user stays with the application that had the fewest requests in flight when the user came, on every machine. Should it
// fail or go, another takes its place: one of those who notice puts it there, and all get that one.

import { map } from 'sluice:store'

const users = map('users')

/** @type {Sluice.Balancer} */
export async function balancer(r, upstream) {
  const user = r.variables.arg_userId
  if (user === undefined) return
  return await users.getOrSet(user, () => upstream.leastConn()?.name)
}
