import { expect, test } from '@jest/globals';
import { renderTable, joinSome } from '../../cli/table.ts';
import { formatDuration } from '../../cli/time.ts';

/* How lists and times are written. */

test('tables have columns as wide as their widest cell and end without spaces', () => {
  expect(renderTable(['A', 'LONG'], [['1234', ''], ['1', '2']])).toBe('  A     LONG\n  1234\n  1     2');
  expect(joinSome(['a', 'b', 'c'])).toBe('a, b, c');
  expect(joinSome(['a', 'b', 'c', 'd', 'e'])).toBe('a, b, c and 2 more');
});

test.each([[47 * 3600, '47 h'], [48 * 3600, '2 d'], [100 * 3600 + 59, '4 d 4 h'], [59, '59 s']])('%d s are %s', (seconds, text) => {
  expect(formatDuration(seconds * 1000)).toBe(text);
});
