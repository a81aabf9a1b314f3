import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import type { Bench, BenchRow } from './bench-row.ts';
import { proxy } from './proxy.ts';
import { rating } from './rating.ts';

/**
 * `npm run bench [-- NAME] [--json] [--seconds N]`: measures by name. A row with an aim says whether it holds; the exit code is
 * 3 when one does not.
 */
const BENCHES: Record<string, Bench> = { rating, proxy };

const on = (): string =>
  `${cpus()[0]?.model.trim() ?? 'unknown processor'}, ${cpus().length} cores, node ${process.version}`;

const printTable = (name: string, rows: readonly BenchRow[]): void => {
  console.log(`${name} on ${on()}`);
  for (const { case: what, metric, value, unit, aim, holds } of rows) {
    const verdict = aim === undefined ? '' : `  aim ${aim}: ${holds ? 'holds' : 'DOES NOT HOLD'}`;
    console.log(`  ${what.padEnd(44)} ${metric.padEnd(22)} ${value} ${unit}${verdict}`);
  }
};

const main = async (): Promise<number> => {
  const { values, positionals: names } = parseArgs({
    options: { json: { type: 'boolean', default: false }, seconds: { type: 'string' } },
    allowPositionals: true,
  });
  const { json } = values;
  const options = values.seconds === undefined ? {} : { seconds: Number(values.seconds) };
  const unknown = names.filter((name) => !(name in BENCHES));
  if (unknown.length > 0) {
    console.error(
      `No benchmark is named ${unknown.join(', ')}; there are: ${Object.keys(BENCHES).join(', ')}.`,
    );
    return 2;
  }
  let holds = true;
  for (const [name, bench] of Object.entries(BENCHES)) {
    if (names.length > 0 && !names.includes(name)) continue;
    const rows = await bench(options);
    holds &&= rows.every((row) => row.holds !== false);
    if (json) console.log(JSON.stringify({ name, on: on(), rows }));
    else printTable(name, rows);
  }
  return holds ? 0 : 3;
};

process.exitCode = await main();
