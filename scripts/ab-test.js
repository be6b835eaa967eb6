// A/B test: every visitor gets a variant and keeps it by a cookie; the server behind learns it from a header.
//
//     script scripts/ab-test.js variants=a:90,b:10 cookie=variant header=X-Variant;
//
//   variants   names and weights                  a:50,b:50
//   cookie     keeps the choice                   variant
//   header     tells the server behind            X-Variant
//   days       that the cookie lasts              30

import { abTest } from 'sluice:policy'

const { variants = 'a:50,b:50', cookie = 'variant', header = 'X-Variant', days = '30' } = sluice.params

/**
 * `a:90,b:10` as `{ a: 90, b: 10 }`.
 * @param {string} text
 */
function weights(text) {
  return Object.fromEntries(
    text.split(',').map((part) => {
      const [name, weight = '1'] = part.split(':')
      return [name, Number(weight)]
    }),
  )
}

// Without a key, who has no cookie yet is given a variant at random.
export const { rewrite, headerFilter } = abTest('', {
  variants: weights(variants),
  cookie,
  header,
  maxAge: Number(days) * 86400,
})
