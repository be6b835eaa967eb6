// Numbers to markdown. Knows nothing of where they come from.

/** A row that could not be measured says why in `failure`. */
export interface Row {
  readonly name: string
  readonly values: readonly (string | number | null)[]
  readonly failure?: string
}

/** A markdown table; numbers with one decimal, null as a dash. */
export function markdownTable(columns: readonly string[], rows: readonly Row[]): string {
  const lines = [line(columns), line(columns.map((_, i) => (i === 0 ? '---' : '---:')))]
  for (const row of rows) {
    const rest =
      row.failure === undefined ? row.values.map(cell) : failureCells(row.failure, columns.length - 1)
    lines.push(line([row.name, ...rest]))
  }
  return lines.join('\n')
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** `1.23x`, or null when there is nothing to compare with. */
export function ratio(value: number, base: number | undefined): string | null {
  return base === undefined || base === 0 ? null : `${(value / base).toFixed(2)}x`
}

function failureCells(text: string, count: number): string[] {
  return [text.replaceAll('|', '\\|').replace(/\s+/g, ' '), ...Array<string>(count - 1).fill('')]
}

function cell(value: string | number | null): string {
  if (value === null) return '-'
  return typeof value === 'number' ? value.toFixed(1) : value
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`
}
