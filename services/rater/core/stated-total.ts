import { addAmounts } from '../../../pricing/money.ts';
import type { UsageEvent } from '../../../schemas/usage-event.ts';
import type { Flavour } from '../../../schemas/words.ts';

/** What the token total that a provider states says of our classes. `not_stated` also where no total is of what is sold. */
export type TotalVerdict = 'agrees' | 'differs' | 'not_stated';

type Usage = Readonly<Record<string, unknown>>;

const OPENAI: readonly string[] = ['total_tokens'];

/**
 * Names of the member that holds a total, by wire format; the first that is there counts. Not here: Anthropic and Ollama state none, OCR
 * and speech are sold by something else, and of a passthrough nobody knows what its figures mean.
 */
const TOTALS: Readonly<Partial<Record<Flavour, readonly string[]>>> = {
  'openai.chat': OPENAI,
  'openai.completions': OPENAI,
  'openai.responses': OPENAI,
  'openai.embeddings': OPENAI,
  'openai.images': OPENAI,
  'openai.transcription': OPENAI,
  'openai.runs': OPENAI,
  'openai.batch': OPENAI,
  'gemini.openai': OPENAI,
  // Candidates, thoughts, prompt and tool prompts together; the Interactions API has a name of its own for it.
  'gemini.generate': ['totalTokenCount', 'total_tokens'],
  'gemini.embed': ['totalTokenCount'],
  'gemini.cache': ['totalTokenCount'],
  // What was read from and written to the cache is inside, although it is not inside the input.
  'bedrock.converse': ['totalTokens'],
  // The vendor's own body; AWS's counts beside it have no total.
  'bedrock.invoke': ['totalTokens', 'total_tokens'],
  // Hosts with Cohere's paths. Where there are billed units they are what is sold, and no total is of them.
  'cohere.chat': OPENAI,
  'cohere.embed': OPENAI,
  'cohere.rerank': OPENAI,
};

/** Where the JSON value that starts at `from` ends. */
const endOfValue = (text: string, from: number): number => {
  let depth = 0;
  let quoted = false;
  for (let at = from; at < text.length; at += 1) {
    const character = text[at];
    if (quoted) {
      if (character === '\\') at += 1;
      else if (character === '"') quoted = false;
      continue;
    }
    if (character === '"') quoted = true;
    else if (character === '{' || character === '[') depth += 1;
    else if (character === '}' || character === ']') {
      depth -= 1;
      if (depth === 0) return at + 1;
    }
  }
  return text.length;
};

const PIECES_MAX = 1_000;

/** The usage objects that were kept of one reply, one after another. What cannot be read is left out. */
const usageObjects = (raw: string): Usage[] => {
  const objects: Usage[] = [];
  let at = raw.indexOf('{');
  while (at >= 0 && objects.length < PIECES_MAX) {
    const end = endOfValue(raw, at);
    try {
      objects.push(JSON.parse(raw.slice(at, end)) as Usage);
    } catch {
      return objects;
    }
    at = raw.indexOf('{', end);
  }
  return objects;
};

const countOf = (usage: Usage, name: string): bigint => {
  const value = usage[name];
  return typeof value === 'number' && Number.isSafeInteger(value) ? BigInt(value) : 0n;
};

/** Whether what is sold is not what the total is of. */
const isOfSomethingElse = (usage: Usage): boolean => {
  if (typeof usage['billed_units'] === 'object' && usage['billed_units'] !== null) return true;
  // Mistral's total holds the tokens of audio, which is sold by the second.
  const seconds = usage['prompt_audio_seconds'];
  return typeof seconds === 'number' && seconds > 0;
};

/** What Perplexity sells besides its total, which is of the visible prompt and answer: what it read, and what it thought. */
const besideTotal = (usage: Usage, total: bigint): bigint => {
  const output = countOf(usage, 'completion_tokens');
  const isVisibleOnly = total === countOf(usage, 'prompt_tokens') + output;
  if (!('num_search_queries' in usage) || !isVisibleOnly) return 0n;
  const thought = countOf(usage, 'reasoning_tokens');
  return countOf(usage, 'citation_tokens') + (thought > output ? thought : 0n);
};

/** The tokens that are charged: of the parts, where there are any. */
const ourTotal = (event: UsageEvent): string => {
  const served = event.parts && event.parts.length > 0 ? event.parts : [event];
  return addAmounts(served.flatMap(({ classes }) => Object.values(classes)));
};

/**
 * Holds the total that a provider states against the sum of our disjoint classes: a second witness against a reader that dropped a class,
 * counted one twice or found no figures where some were stated. Usage that was never stated to its end has no total to hold against.
 */
export const totalVerdict = (event: UsageEvent): TotalVerdict => {
  const names = TOTALS[event.flavour];
  if (names === undefined || event.raw_usage === undefined) return 'not_stated';
  if (event.estimate !== undefined || event.ending === 'not_billed') return 'not_stated';
  for (const usage of usageObjects(event.raw_usage)) {
    const stated = names.map((name) => usage[name]).find((value) => (value ?? null) !== null);
    if (stated === undefined) continue;
    if (isOfSomethingElse(usage)) return 'not_stated';
    if (typeof stated !== 'number' || !Number.isSafeInteger(stated) || stated < 0) return 'differs';
    const total = BigInt(stated) + besideTotal(usage, BigInt(stated));
    return String(total) === ourTotal(event) ? 'agrees' : 'differs';
  }
  return 'not_stated';
};
