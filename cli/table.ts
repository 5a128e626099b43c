/** Columns as wide as their widest cell, two spaces apart, indented by two; no space at the end of a line. */
export function renderTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? '').length)));
  return lines
    .map((line) => `  ${widths.map((width, column) => (line[column] ?? '').padEnd(width)).join('  ')}`.trimEnd())
    .join('\n');
}

/** "a, b, c and 4 more". */
export function joinSome(names: readonly string[], most = 3): string {
  const shown = names.slice(0, most).join(', ');
  return names.length > most ? `${shown} and ${names.length - most} more` : shown;
}
