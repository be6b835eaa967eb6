// Canary release: a share of the users gets the new version, each user the same one every time. A user who has the
// cookie canary=always (or never) has chosen.
//
//     script scripts/canary.js percent=5 key=$cookie_user to=@next;
//
//   percent   of the keys, 0 to 100; growing it moves nobody back                    5
//   key       what makes a user, a text with variables; without one they stay        $cookie_user
//   to        the named location of the new version                                  @next

import { canary } from 'sluice:policy'

const { percent = '5', key = '$cookie_user', to = '@next' } = sluice.params

export const rewrite = canary(key, { percent, to, cookie: 'canary' })
