import { picoPerToken } from './exact-usd.ts';

/** On whose statement a model stands. */
export const PROVIDERS = [
  'openai',
  'anthropic',
  'google',
  'bedrock',
  'azure',
  'cohere',
  'ollama',
  'xai',
  'groq',
] as const;
export type Provider = (typeof PROVIDERS)[number];

/** What this provider counts, in the order its papers list them. A token is counted by exactly one meter. */
export const METERS = [
  'input_uncached',
  'cache_read',
  'cache_write_5m',
  'cache_write_1h',
  'output_text',
  'output_reasoning',
] as const;
export type Meter = (typeof METERS)[number];

type Prices = Readonly<Partial<Record<Meter, string>>>;

export interface ListedModel {
  readonly provider: Provider;
  /** The dated name every reply carries. */
  readonly model: string;
  /** Other names a request may use for it. */
  readonly aliases: readonly string[];
  /** The name on the cost export, where it is another one. */
  readonly statementName: string;
  /** The vendor's own name in the body, of a model that a cloud sells under a name of its own. */
  readonly bodyName?: string;
  readonly kind: 'text' | 'embedding';
  /** USD per million tokens. A meter without a price is not sold for this model. */
  readonly usdPerMillion: Prices;
}

const sold = (
  provider: Provider,
  model: string,
  usdPerMillion: Prices,
  alias?: string,
): ListedModel => ({
  provider,
  model,
  aliases: alias === undefined ? [] : [alias],
  statementName: model,
  kind: usdPerMillion.output_text === undefined ? 'embedding' : 'text',
  usdPerMillion,
});

const openai = (model: string, alias: string, usdPerMillion: Prices): ListedModel =>
  sold('openai', model, usdPerMillion, alias === model ? undefined : alias);

const gpt = (input: string, cached: string, output: string): Prices => ({
  input_uncached: input,
  cache_read: cached,
  output_text: output,
  output_reasoning: output,
});

const uncached = (input: string, output: string): Prices => ({
  input_uncached: input,
  output_text: output,
  output_reasoning: output,
});

const CLAUDE_ON_BEDROCK = 'global.anthropic.claude-haiku-4-5-20251001-v1:0';

const claude = (model: string, statementName: string, prices: readonly string[]): ListedModel => {
  const [input = '', read = '', write5m = '', write1h = '', output = ''] = prices;
  return {
    provider: 'anthropic',
    model,
    aliases: [model.replace(/-\d{8}$/, '')],
    statementName,
    kind: 'text',
    usdPerMillion: {
      input_uncached: input,
      cache_read: read,
      cache_write_5m: write5m,
      cache_write_1h: write1h,
      output_text: output,
      output_reasoning: output,
    },
  };
};

/**
 * This provider's own list, typed by hand from the vendors' public price pages and from nothing else, so that a mistake in a price
 * book shows as a difference. Reasoning is sold as output.
 * OpenAI: https://openai.com/api/pricing/ and https://platform.openai.com/docs/pricing, standard tier, as of 2026-11-21.
 * Anthropic: https://claude.com/pricing#api and https://docs.claude.com/en/docs/about-claude/pricing, as of 2026-11-21.
 * Google: https://ai.google.dev/gemini-api/docs/pricing. AWS: https://aws.amazon.com/bedrock/pricing/, global inference.
 * Cohere: https://cohere.com/pricing. xAI: https://docs.x.ai/docs/models. Groq: https://groq.com/pricing. Azure sells at OpenAI's prices.
 * Ollama runs on machines of one's own: its prices are an invention, to have something to compare.
 */
export const PRICE_LIST: readonly ListedModel[] = [
  openai('gpt-4o-2024-08-06', 'gpt-4o', gpt('2.50', '1.25', '10')),
  openai('gpt-4o-mini-2024-07-18', 'gpt-4o-mini', gpt('0.15', '0.075', '0.60')),
  openai('gpt-4.1-mini-2025-04-14', 'gpt-4.1-mini', gpt('0.40', '0.10', '1.60')),
  openai('o4-mini-2025-04-16', 'o4-mini', gpt('1.10', '0.275', '4.40')),
  openai('text-embedding-3-small', 'text-embedding-3-small', { input_uncached: '0.02' }),
  openai('gpt-3.5-turbo-instruct', 'gpt-3.5-turbo-instruct', uncached('1.50', '2')),
  sold('azure', 'gpt-4o-mini-2024-07-18', gpt('0.15', '0.075', '0.60'), 'gpt-4o-mini'),
  sold('google', 'gemini-2.5-flash', gpt('0.30', '0.03', '2.50')),
  sold('cohere', 'command-a-03-2025', uncached('2.50', '10')),
  sold('xai', 'grok-3-mini', gpt('0.30', '0.075', '0.50')),
  sold('groq', 'openai/gpt-oss-20b', gpt('0.075', '0.0375', '0.30')),
  sold('ollama', 'llama3.2', gpt('0.10', '0.05', '0.40')),
  {
    ...sold('bedrock', CLAUDE_ON_BEDROCK, {
      ...gpt('1', '0.10', '5'),
      cache_write_5m: '1.25',
      cache_write_1h: '2',
    }),
    bodyName: 'claude-haiku-4-5-20251001',
  },
  // Order: input, cache read, 5-minute write, 1-hour write, output.
  claude('claude-sonnet-4-5-20250929', 'Claude Sonnet 4.5', ['3', '0.30', '3.75', '6', '15']),
  claude('claude-haiku-4-5-20251001', 'Claude Haiku 4.5', ['1', '0.10', '1.25', '2', '5']),
  claude('claude-opus-4-5-20251101', 'Claude Opus 4.5', ['5', '0.50', '6.25', '10', '25']),
];

/** On bills the model has this behind it where it worked in a batch. */
const BATCH_SUFFIX = ' batch';

/**
 * Batches, at half price: https://platform.openai.com/docs/pricing (batch; it states no price of cached input for these models) and
 * https://docs.claude.com/en/docs/about-claude/pricing (batch; discounts of the cache come on top), as of 2026-11-21.
 */
const BATCH_LIST: readonly ListedModel[] = [
  openai('gpt-4o-2024-08-06', 'gpt-4o', uncached('1.25', '5')),
  openai('gpt-4o-mini-2024-07-18', 'gpt-4o-mini', uncached('0.075', '0.30')),
  openai('gpt-4.1-mini-2025-04-14', 'gpt-4.1-mini', uncached('0.20', '0.80')),
  openai('o4-mini-2025-04-16', 'o4-mini', uncached('0.55', '2.20')),
  claude('claude-sonnet-4-5-20250929', 'Claude Sonnet 4.5', ['1.5', '0.15', '1.875', '3', '7.5']),
  claude('claude-haiku-4-5-20251001', 'Claude Haiku 4.5', ['0.5', '0.05', '0.625', '1', '2.5']),
  claude('claude-opus-4-5-20251101', 'Claude Opus 4.5', ['2.5', '0.25', '3.125', '5', '12.5']),
].map((entry) => ({ ...entry, model: `${entry.model}${BATCH_SUFFIX}` }));

/** The model's own name, and whether it worked in a batch. */
export const unbatched = (model: string): { name: string; inBatch: boolean } => {
  const inBatch = model.endsWith(BATCH_SUFFIX);
  return { name: inBatch ? model.slice(0, -BATCH_SUFFIX.length) : model, inBatch };
};

const listed = new Map<string, ListedModel>(
  PRICE_LIST.flatMap((entry) =>
    [entry.model, ...entry.aliases].map((name) => [`${entry.provider} ${name}`, entry]),
  ),
);
const pico = new Map<string, bigint>(
  [...PRICE_LIST, ...BATCH_LIST].flatMap((entry) =>
    Object.entries(entry.usdPerMillion).map(([meter, price]): [string, bigint] => [
      `${entry.provider} ${entry.model} ${meter}`,
      picoPerToken(price),
    ]),
  ),
);

/** The listed model behind a requested name, or undefined: this provider does not sell it. */
export const findModel = (provider: Provider, name: string): ListedModel | undefined =>
  listed.get(`${provider} ${name}`);

/** What a listed model is sold as in a batch, or undefined: it is not sold so. */
export const findBatchModel = (provider: Provider, name: string): ListedModel | undefined => {
  const model = findModel(provider, name);
  return model && BATCH_LIST.find((entry) => entry.model === `${model.model}${BATCH_SUFFIX}`);
};

/** Pico-USD of that many tokens. Throws RangeError for a meter the model is not sold by: a silent zero would be a wrong bill. */
export const picoAmount = (
  sale: { readonly provider: Provider; readonly model: string },
  meter: Meter,
  quantity: number,
): bigint => {
  const price = pico.get(`${sale.provider} ${sale.model} ${meter}`);
  if (price === undefined) {
    throw new RangeError(
      `The sandbox has no price for ${meter} of ${sale.model}; add it to its list.`,
    );
  }
  return price * BigInt(quantity);
};
