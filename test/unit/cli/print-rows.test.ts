import { expect, test, vi } from 'vitest';
import { printRows } from '../../../services/cli/commands/command-kit.ts';

const printed = (options: { csv?: boolean }): string => {
  const write = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  try {
    printRows(['tags', 'list', 'n'], [[{ team: 'blue' }, ['a', 'b'], '0']], options);
    return write.mock.calls.map(([text]) => String(text)).join('');
  } finally {
    write.mockRestore();
  }
};

test('a map or list column is printed as JSON, in the table and as CSV', () => {
  expect(printed({})).toContain('{"team":"blue"}  ["a","b"]  0');
  expect(printed({ csv: true })).toBe('tags,list,n\n"{""team"":""blue""}","[""a"",""b""]",0\n');
});
