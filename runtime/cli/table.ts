/** Rows in columns, for people. */

/** The first row is the heading. Numbers (by their first data row) stand to the right. */
export function table(rows: readonly (readonly string[])[], paint: (heading: string) => string): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => visible(row[column]).length)))
  const isNumber = rows[0].map(
    (_, column) => rows.length > 1 && /^[\d.,]+(?: \w+)?$/.test(visible(rows[1][column])),
  )
  const lines = rows.map((row, at) => {
    const cells = row.map((cell, column) => {
      const space = ' '.repeat(widths[column] - visible(cell).length)
      return isNumber[column] ? space + cell : cell + space
    })
    const line = cells.join('  ').trimEnd()
    return at === 0 ? paint(line) : line
  })
  return `${lines.join('\n')}\n`
}

/** Without colours. */
function visible(text: string): string {
  return text.replace(/\x1b\[[\d;]*m/g, '')
}

/** `3 d 4 h`, `5 min 6 s`: the two largest units. */
export function duration(ms: number): string {
  const seconds = Math.floor(ms / 1000)
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ]
  const first = parts.findIndex(([count]) => count > 0)
  if (first === -1) return '0 s'
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ')
}

export function mebibytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`
}
