import { createReadStream, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import { allocateBill, allocatedBook, billOf } from '../../../pricing/allocation.ts';
import { formatScaled, parseScaled, widen } from '../../../pricing/scaled-decimal.ts';
import type { Meter } from '../../../schemas/words.ts';
import { MeterSchema } from '../../../schemas/words.ts';
import { ReckonerError } from '../../platform/errors.ts';
import { EXIT } from '../run-process.ts';
import type { OutputOptions, Run } from './command-kit.ts';
import { printRows } from './command-kit.ts';
import { publishedVersions, writeDraft } from './price-drafts.ts';

interface AllocateOptions extends OutputOptions {
  books: string;
  provider: string;
  model: string;
  month: string;
  by: string;
  billUsd?: string;
  gpuHours?: string;
  gpuHourUsd?: string;
  usage?: string;
  classes?: readonly string[];
  weights?: readonly string[];
}

type Quantities = Partial<Record<Meter, string>>;

const invalid = (message: string): ReckonerError => new ReckonerError('REQUEST_INVALID', message);

const meterOf = (text: string): Meter => {
  const parsed = MeterSchema.safeParse(text);
  if (parsed.success) return parsed.data;
  throw invalid(
    `${JSON.stringify(text.slice(0, 60))} is no meter; expected one such as output_text.`,
  );
};

/** `output_text=4` and the like. */
const pairsOf = (pairs: readonly string[] | undefined): Quantities =>
  Object.fromEntries(
    (pairs ?? []).map((pair) => {
      const [name = '', value = ''] = pair.split('=');
      return [meterOf(name), value];
    }),
  );

const PLACES = 6;

/** Adds up the quantities of lines as `reckoner rate` reads them; integers and decimal strings, never through a float. */
export const addUsageLine = (sums: Map<Meter, bigint>, text: string, line: number): void => {
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch {
    throw invalid(`Line ${line} is not JSON; expected one object a line.`);
  }
  const { classes, units } = (read ?? {}) as { classes?: object; units?: object };
  for (const [name, value] of Object.entries({ ...classes, ...units })) {
    const spelled = Number.isSafeInteger(value) ? String(value) : value;
    const parsed = typeof spelled === 'string' ? parseScaled(spelled) : null;
    if (!parsed || parsed.value < 0n || parsed.places > PLACES) {
      throw invalid(
        `Line ${line}: the quantity of ${name} is no whole number and no decimal string of at most six places.`,
      );
    }
    const meter = meterOf(name);
    sums.set(meter, (sums.get(meter) ?? 0n) + widen(parsed, PLACES));
  }
};

const usageOf = async (options: AllocateOptions): Promise<Quantities> => {
  const sums = new Map<Meter, bigint>();
  if (options.usage !== undefined) {
    const input = createReadStream(options.usage);
    let line = 0;
    for await (const text of createInterface({ input })) {
      line += 1;
      if (text.trim() !== '') addUsageLine(sums, text, line);
    }
  }
  const read = [...sums].map(([meter, sum]) => [meter, formatScaled(sum, PLACES)] as const);
  return { ...Object.fromEntries(read), ...pairsOf(options.classes) };
};

const bill = (options: AllocateOptions): { usd: string; source: string } => {
  const { billUsd, gpuHours, gpuHourUsd } = options;
  if (billUsd !== undefined) return { usd: billUsd, source: `bill of ${billUsd} USD` };
  if (gpuHours === undefined || gpuHourUsd === undefined) {
    throw invalid('Give --gpu-hours with --gpu-hour-usd, or --bill-usd: what the machines cost.');
  }
  return {
    usd: billOf(gpuHours, gpuHourUsd),
    source: `${gpuHours} GPU hours at ${gpuHourUsd} USD`,
  };
};

const allocate = async (options: AllocateOptions, now: string): Promise<number> => {
  const { provider, model, month, books: directory } = options;
  const quantities = await usageOf(options);
  try {
    const { usd, source } = bill(options);
    const allocation = allocateBill({
      bill_usd: usd,
      quantities,
      weights: pairsOf(options.weights),
    });
    const book = allocatedBook(allocation, {
      provider,
      model,
      month,
      version: publishedVersions(directory, provider).length + 1,
      now,
      source: `${source}, ${month}, allocated by ${options.by}`,
    });
    mkdirSync(join(directory, provider), { recursive: true });
    const path = writeDraft(directory, { ...book, prepared_by: options.by });
    printRows(
      ['meter', 'quantity', 'unit_price'],
      allocation.prices.map((price) => [
        price.meter,
        quantities[price.meter] ?? '0',
        price.unit_price,
      ]),
      options,
    );
    process.stderr.write(
      `of ${usd} USD the usage is charged ${allocation.charged_usd}; ${allocation.remainder_usd} no price of 12 places can express\ndraft ${path}: it prices nothing until reckoner prices approve --provider ${provider} --by NAME --yes\n`,
    );
    return EXIT.differences;
  } catch (error) {
    if (error instanceof RangeError) throw invalid(error.message);
    throw error;
  }
};

/** The verb by which machines of one's own get prices: a month's bill over a month's usage. */
export const addPricesAllocate = (prices: Command, run: Run): void => {
  prices
    .command('allocate')
    .description('spread a month’s bill for machines over what they served; write a draft')
    .requiredOption('--books <directory>', 'folder of your own price books')
    .requiredOption('--provider <name>', 'provider of the book, as your upstream names it')
    .requiredOption('--model <name>', 'model that was served')
    .requiredOption('--month <YYYY-MM>', 'month that the prices are for')
    .option('--gpu-hours <number>', 'hours of GPUs')
    .option('--gpu-hour-usd <usd>', 'price of one')
    .option('--bill-usd <usd>', 'the whole bill, in place of hours')
    .option('--usage <file>', 'JSON lines with classes and units, as reckoner rate reads them')
    .option('--classes <meter=number...>', 'quantities, in place of a file')
    .option(
      '--weights <meter=number...>',
      'how much dearer one unit is than another; 1 where not given',
    )
    .option('--by <name>', 'who prepares it', 'allocation')
    .option('--json', 'one JSON object a line')
    .option('--csv', 'CSV')
    .action((options: AllocateOptions) => run(() => allocate(options, new Date().toISOString()))());
};
