// Whichever worker a request reaches, the count is the same one.
import { map } from 'sluice:store'

const visits = map('visits')

/** @type {Sluice.Content} */
export async function content(r) {
  const count = await visits.incr(r.variables.arg_user ?? 'nobody', 1)
  r.return(200, `visit ${count}, worker ${sluice.worker}, process ${r.variables.pid}\n`)
}
