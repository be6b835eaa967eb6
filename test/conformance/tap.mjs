// TAP, as Perl's Test::More prints it, to counts. Knows nothing of processes.

/**
 * @typedef {object} FileResult
 * @property {boolean} whole every planned assertion ran and none failed
 * @property {number} planned
 * @property {number} passed ok, neither TODO nor skipped
 * @property {number} failed not ok, not TODO
 * @property {number} todo
 * @property {number} skipped single assertions
 * @property {string[]} failures the lines of the failed assertions
 * @property {string | null} note why the file did not pass whole, if not only for failed assertions
 */

/**
 * Judges a file by its output and how it ended.
 * @param {string} output
 * @param {string | null} ending null for exit code 0, else words
 * @returns {FileResult}
 */
export function judge(output, ending) {
  const result = {
    whole: false,
    planned: 0,
    passed: 0,
    failed: 0,
    todo: 0,
    skipped: 0,
    failures: [],
    note: null,
  }
  let reason = null
  for (const line of output.split('\n')) {
    const plan = /^1\.\.(\d+)(?:\s*#\s*skip\S*\s*(.*))?/i.exec(line)
    if (plan !== null) {
      result.planned = Number(plan[1])
      if (result.planned === 0) reason = `SKIP ${plan[2] ?? ''}`.trim()
    }
    count(line, result)
  }
  const ran = result.passed + result.failed + result.todo + result.skipped
  result.note = reason ?? noteFor(result, ran, ending)
  result.whole = result.note === null && result.failed === 0 && ran > 0
  return result
}

function count(line, result) {
  const match = /^(not )?ok\b[^#]*(?:#\s*(todo|skip)\b)?/i.exec(line.replaceAll('\\#', ''))
  if (match === null) return
  const directive = match[2]?.toLowerCase()
  if (directive === 'todo') result.todo++
  else if (directive === 'skip') result.skipped++
  else if (match[1] === undefined) result.passed++
  else {
    result.failed++
    result.failures.push(line)
  }
}

function noteFor(result, ran, ending) {
  if (result.planned === 0) return ending ?? 'no plan'
  if (ran !== result.planned) return `${ran} of ${result.planned} ran${ending === null ? '' : `, ${ending}`}`
  // Test::More ends with the number of failed assertions: no news then.
  return ending === null || result.failed > 0 ? null : ending
}
