/** Rows as text: one JSON object a line, or CSV (RFC 4180). */
import type { Cell, Row } from './tap-rows.ts';

export const TAP_FORMATS = ['ndjson', 'csv'] as const;
export type TapFormat = (typeof TAP_FORMATS)[number];

export function headerLine(format: TapFormat, columns: readonly string[]): string {
  return format === 'csv' ? `${columns.map(csvCell).join(',')}\n` : '';
}

/** A line of CSV has all columns; an object has those that the row has. */
export function rowLine(format: TapFormat, columns: readonly string[], row: Row): string {
  if (format === 'csv') return `${columns.map((column) => csvCell(row[column] ?? null)).join(',')}\n`;
  return `${JSON.stringify(row)}\n`;
}

/** Empty is null; an empty text is quoted. What a spreadsheet or a shell tool could split or trim is quoted. */
export function csvCell(cell: Cell): string {
  if (cell === null) return '';
  const text = String(cell);
  return text === '' || /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
