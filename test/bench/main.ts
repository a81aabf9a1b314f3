import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import type { Bench, BenchRow } from './bench-row.ts';
import { pipeline } from './pipeline.ts';
import { proxy } from './proxy.ts';
import { rating } from './rating.ts';

/**
 * `npm run bench [-- NAME] [--json] [--seconds N]`: measures by name. A row with an aim says whether it holds; the exit code is
 * 3 when one does not.
 */
const BENCHES: Record<string, Bench> = { rating, pipeline, proxy };

const USAGE = `Usage: npm run bench -- [NAME]… [--json] [--seconds N]

Measures by name (${Object.keys(BENCHES).join(', ')}); all of them where none is named.
  --json       one JSON object a benchmark on stdout
  --seconds N  how long each case is measured
Exit codes: 0 every aim holds, 2 wrong usage, 3 an aim does not hold.`;

const on = (): string =>
  `${cpus()[0]?.model.trim() ?? 'unknown processor'}, ${cpus().length} cores, node ${process.version}`;

const printTable = (name: string, rows: readonly BenchRow[]): void => {
  console.log(`${name} on ${on()}`);
  for (const { case: what, metric, value, unit, aim, holds } of rows) {
    const verdict = aim === undefined ? '' : `  aim ${aim}: ${holds ? 'holds' : 'DOES NOT HOLD'}`;
    console.log(`  ${what.padEnd(44)} ${metric.padEnd(22)} ${value} ${unit}${verdict}`);
  }
};

const readOptions = () => {
  try {
    return parseArgs({
      options: {
        json: { type: 'boolean', default: false },
        seconds: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
      allowPositionals: true,
    });
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    return null;
  }
};

const main = async (): Promise<number> => {
  const read = readOptions();
  if (read === null) return 2;
  const { values, positionals: names } = read;
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
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
