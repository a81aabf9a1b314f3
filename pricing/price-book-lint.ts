import type { Price, PriceBook } from '../schemas/price-book.ts';
import { PriceBookSchema } from '../schemas/price-book.ts';
import type { Unit } from '../schemas/words.ts';
import { allowanceSubject, passThroughSubject } from './book-rules.ts';
import { isTokenMeter } from './meter-order.ts';
import { Money } from './money.ts';
import type { Schedule } from './price-schedule.ts';
import { timeBandName } from './time-band.ts';

/**
 * No token is sold above 1,000 USD per million (the dearest known is 600), and no list price per million is as low as
 * 0.001: a per-million number typed into a per-token field is therefore above this.
 */
const TOKEN_CEILING = '0.001';

/** Highest plausible price of one unit in USD. 35 USD a search instead of 0.035 has happened. */
const UNIT_CEILINGS: Record<Unit, string> = {
  requests: '1',
  web_search_requests: '1',
  web_fetch_requests: '1',
  file_search_calls: '1',
  code_interpreter_sessions: '1',
  code_execution_hours: '10',
  computer_use_calls: '1',
  tool_calls: '1',
  search_units: '1',
  classifications: '1',
  images: '10',
  audio_seconds: '0.1',
  video_seconds: '5',
  characters: '0.001',
  pages: '1',
  storage_gb_hours: '1',
  session_hours: '10',
  gpu_hours: '200',
  cache_storage_token_hours: '0.001',
  // A millionth of a dollar for a millionth of a dollar.
  stated_cost_micro_usd: '0.000001',
};

/** A tier or geography at most ten times dearer, at most a hundred times cheaper than standard: one feed had a factor of 50. */
const DEARER_AT_MOST = 10n;
const CHEAPER_AT_MOST = 100n;

/** Highest plausible list or agreed price of one of a meter, in USD. */
export const ceilingOf = (meter: Price['meter']): string =>
  isTokenMeter(meter) ? TOKEN_CEILING : UNIT_CEILINGS[meter as Unit];

const lintPrice = (where: string, price: Price, book: PriceBook): string[] => {
  const problems: string[] = [];
  const ceiling = ceilingOf(price.meter);
  if (new Money(price.unit_price).gt(ceiling)) {
    problems.push(
      `${where}: ${price.unit_price} USD for one of ${price.meter} is above the plausible ${ceiling}; was a price per million or per thousand typed?`,
    );
  }
  if (price.valid_to !== undefined && price.valid_to <= price.valid_from) {
    problems.push(
      `${where}: valid_to ${price.valid_to} is not after valid_from ${price.valid_from}.`,
    );
  }
  if (price.per_request && price.meter !== 'requests') {
    problems.push(`${where}: only a price of the meter requests can be owed once a request.`);
  }
  if (price.known_from < book.known_from) {
    problems.push(
      `${where}: known_from ${price.known_from} is before the version's ${book.known_from}; that would rewrite what was known then.`,
    );
  }
  return problems;
};

/** Token prices of a model must allow a whole reply to be priced, in every tier and geography that has any. */
const lintComplete = (provider: string, prices: readonly Price[]): string[] => {
  const metersOf = new Map<string, Set<string>>();
  for (const price of prices) {
    if (!isTokenMeter(price.meter)) continue;
    for (const tier of price.when?.tier ?? ['standard']) {
      for (const geo of price.when?.geo ?? ['standard']) {
        const key = `${price.model}, tier ${tier}, geo ${geo}`;
        metersOf.set(key, (metersOf.get(key) ?? new Set()).add(price.meter));
      }
    }
  }
  const problems: string[] = [];
  for (const [key, meters] of metersOf) {
    const needsOutput = !key.includes('embed');
    if (!meters.has('input_uncached') || (needsOutput && !meters.has('output_text'))) {
      problems.push(
        `${provider} ${key}: has ${[...meters].join(', ')}; a model needs input_uncached and, unless it makes embeddings, output_text.`,
      );
    }
  }
  return problems;
};

const lintAliases = (provider: string, group: readonly PriceBook[]): string[] => {
  const priced = new Set(group.flatMap((book) => book.prices.map((price) => price.model)));
  return group.flatMap((book) =>
    book.aliases.flatMap(({ alias, model }) => [
      ...(priced.has(model)
        ? []
        : [`${provider} alias ${alias}: no book prices its target ${model}.`]),
      ...(priced.has(alias)
        ? [
            `${provider} alias ${alias}: the name has prices of its own; it cannot also stand for ${model}.`,
          ]
        : []),
    ]),
  );
};

const lintVersions = (provider: string, group: readonly PriceBook[]): string[] => {
  const problems: string[] = [];
  group.forEach((book, index) => {
    if (book.version !== index + 1) {
      problems.push(
        `${provider}: expected version ${index + 1}, found ${book.version}; versions have no gaps and no repetition.`,
      );
    }
    const before = group[index - 1];
    if (before && book.known_from < before.known_from) {
      problems.push(
        `${provider} version ${book.version}: known_from is before that of version ${before.version}.`,
      );
    }
  });
  return problems;
};

/** Allowances and pass-through: dates in order, models that the book knows, one rule about one thing from one instant on. */
const lintRules = (provider: string, book: PriceBook, models: ReadonlySet<string>): string[] => {
  const rules = [
    ...(book.allowances ?? []).map((rule) => ({ rule, subject: allowanceSubject(rule) })),
    ...(book.pass_through ?? []).map((rule) => ({ rule, subject: passThroughSubject(rule) })),
  ];
  const seen = new Set<string>();
  return rules.flatMap(({ rule, subject }) => {
    const where = `${provider} version ${book.version} rule ${subject}`;
    const problems: string[] = [];
    if (rule.valid_to !== undefined && rule.valid_to <= rule.valid_from) {
      problems.push(
        `${where}: valid_to ${rule.valid_to} is not after valid_from ${rule.valid_from}.`,
      );
    }
    const unknown = rule.models?.find((model) => !models.has(model));
    if (unknown !== undefined) problems.push(`${where}: no book prices the model ${unknown}.`);
    const key = `${subject} ${rule.valid_from}`;
    if (seen.has(key)) {
      problems.push(`${where}: stated twice from ${rule.valid_from}; state it once.`);
    }
    seen.add(key);
    return problems;
  });
};

const lintProvider = (provider: string, group: readonly PriceBook[]): string[] => {
  const problems = lintVersions(provider, group);
  const contents = new Map<string, string>();
  for (const book of group) {
    for (const price of book.prices) {
      const where = `${provider} version ${book.version} price ${price.price_id}`;
      problems.push(...lintPrice(where, price, book));
      const content = JSON.stringify(price);
      if ((contents.get(price.price_id) ?? content) !== content) {
        problems.push(
          `${where}: the same price_id stands for another price; a change needs an id of its own.`,
        );
      }
      contents.set(price.price_id, content);
    }
  }
  problems.push(...lintAliases(provider, group));
  const models = new Set(group.flatMap((book) => book.prices.map(({ model }) => model)));
  problems.push(...group.flatMap((book) => lintRules(provider, book, models)));
  problems.push(
    ...lintComplete(
      provider,
      group.flatMap((book) => book.prices),
    ),
  );
  return problems;
};

/** What is wrong with books taken by themselves; empty when nothing is. Books the schema refuses are not looked at further. */
export const lintPriceBooks = (books: readonly PriceBook[]): string[] => {
  const malformed = books.flatMap((book, index) => {
    const parsed = PriceBookSchema.safeParse(book);
    if (parsed.success) return [];
    const name =
      typeof book?.provider === 'string'
        ? `${book.provider} version ${book.version}`
        : `book ${index + 1}`;
    return parsed.error.issues.map((issue) => `${name}: ${issue.path.join('.')}: ${issue.message}`);
  });
  if (malformed.length > 0) return malformed;
  const providers = [...new Set(books.map((book) => book.provider))];
  return providers.flatMap((provider) =>
    lintProvider(
      provider,
      books
        .filter((book) => book.provider === provider)
        .sort((left, right) => left.version - right.version),
    ),
  );
};

const bandName = (price: Price): string => {
  const context = price.when?.context;
  return [
    context ? `${context.operator}${context.input_tokens}` : '',
    price.when?.time ? timeBandName(price.when.time) : '',
  ]
    .filter((part) => part !== '')
    .join(' ');
};

/** The edges of context of a set; a correction may move one (272,000 itself was once taken for long), not drop it. */
const edges = (bands: Schedule[number]['bands']): number =>
  new Set(bands.flatMap(({ price }) => (price.when?.context ? [bandName(price)] : []))).size;

/** Two prices for one band, or a single claim where a dispute has at least two; a newer set that silently drops a band of the one before. */
const lintBands = (where: string, schedule: Schedule): string[] => {
  const problems: string[] = [];
  schedule.forEach((set, index) => {
    const names = set.bands.map(({ price }) => bandName(price));
    const settled = set.bands
      .filter(({ price }) => price.claim === undefined)
      .map(({ price }) => bandName(price));
    if (new Set(settled).size < settled.length) {
      problems.push(
        `${where}: two prices from ${set.validFrom}, known from ${set.knownFrom}, for the same conditions.`,
      );
    }
    for (const { price } of set.bands) {
      const claims = set.bands.filter(
        (band) => band.price.claim !== undefined && bandName(band.price) === bandName(price),
      );
      if (claims.length === 1 && claims[0]?.price === price) {
        problems.push(
          `${where}: the claim ${price.price_id} stands alone; a dispute states every claim, or is none.`,
        );
      }
    }
    const before = schedule[index + 1];
    const moved = before?.validFrom === set.validFrom && edges(set.bands) >= edges(before.bands);
    for (const { price } of before?.bands ?? []) {
      if (price.when?.time !== undefined || (price.when?.context && moved)) continue; // hours come and go with a price list; the price without hours stays
      const open = price.valid_to === undefined || price.valid_to > set.validFrom;
      if (open && !names.includes(bandName(price))) {
        problems.push(
          `${where}: the prices from ${set.validFrom} leave out the band ${bandName(price) || 'without a context condition'} of the prices before; state it again or end it.`,
        );
      }
    }
  });
  return problems;
};

/** Refuses a tier or geography that is implausibly far from the standard price of the same model and meter. */
const lintOutliers = (
  where: string,
  schedule: Schedule,
  standard: Schedule | undefined,
): string[] => {
  const base = standard?.[0]?.bands.at(-1)?.scaledPrice;
  const own = schedule[0]?.bands.at(-1)?.scaledPrice;
  if (!base || !own) return [];
  return own > base * DEARER_AT_MOST || own * CHEAPER_AT_MOST < base
    ? [
        `${where}: implausibly far from the standard price of the same meter; at most 10 times dearer or 100 times cheaper is taken.`,
      ]
    : [];
};

/** What is wrong with a model's prices taken together. Schedules by `meter|tier|geo`. */
export const lintSchedules = (where: string, schedules: ReadonlyMap<string, Schedule>): string[] =>
  [...schedules].flatMap(([key, schedule]) => [
    ...lintBands(`${where} ${key}`, schedule),
    ...lintOutliers(`${where} ${key}`, schedule, schedules.get(`${key.split('|')[0]}||`)),
  ]);
