// Somebody was in a hurry: no configuration gives this script its parameter, and no machine serves by it.

const { lobby } = sluice.params
if (lobby === undefined) throw new Error('this version wants lobby=NAME on its "script" line')

/** @type {Sluice.Balancer} */
export function balancer(r, upstream) {
  return upstream.hash(r.variables.arg_room ?? lobby, { consistent: true })
}
