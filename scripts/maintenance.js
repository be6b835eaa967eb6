// Maintenance page: 503 with a page while the work lasts, by the clock or by a switch; some addresses pass.
//
//     script scripts/maintenance.js from=2030-01-31T02:00:00Z until=2030-01-31T04:00:00Z allow=203.0.113.7;
//
//   from, until   begin and end; without them, on as long as the line stands there
//   when          on while this text comes out neither empty nor 0, e.g. $maintenance of a map
//   allow         addresses that pass all the same, separated by commas

import { maintenance } from 'sluice:policy'

const { from, until, when, allow = '' } = sluice.params
const insiders = allow.split(',')

const PAGE = `<!doctype html>
<meta charset="utf-8">
<title>Back soon</title>
<h1>We are working on it</h1>
<p>Please come back a little later.</p>
`

export const rewrite = maintenance({
  ...(from !== undefined && { from }),
  ...(until !== undefined && { until }),
  ...(when !== undefined && { when }),
  unless: (r) => (insiders.includes(r.remoteAddress) ? '1' : ''),
  body: PAGE,
  contentType: 'text/html; charset=utf-8',
})
