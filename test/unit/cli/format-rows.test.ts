import { expect, it } from 'vitest';
import { formatRows } from '../../../services/cli/commands/command-kit.ts';

it('shows control characters of a name as escapes: a provider may answer any, and a terminal would obey them', () => {
  const text = formatRows(['model', 'usd'], [['gpt\u001b[2J\u0007\u009b\n', '1']], {});
  expect(text).toContain('gpt\\u001b[2J\\u0007\\u009b\\u000a');
});
