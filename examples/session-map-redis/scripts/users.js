// Tells who belongs where, as the store has it.

import { map } from 'sluice:store'

const users = map('users')

/** @type {Sluice.Content} */
export async function content() {
  let body = ''
  try {
    for await (const [user, peer] of users.entries({ limit: 1000 })) body += `${user} ${peer}\n`
  } catch (error) {
    return { status: 503, body: `${error}\n` }
  }
  return { status: 200, body }
}
