import type { ClassQuantities, UnitQuantities } from '../../../../schemas/usage-event.ts';
import { keepRawUsage, mustHold, statedCount, statedQuantity } from '../counts.ts';
import type { JsonObject, ReplyReader } from '../flavour.ts';
import { asArray, asObject, asWord, createTextSeen } from '../flavour.ts';
import { sourceAt } from '../json-span.ts';
import { makeStatement } from '../statement.ts';
import { readCompatibleUsage } from './compatible-usage.ts';

const UNITS = [
  ['search_units', 'search_units'],
  ['classifications', 'classifications'],
  ['images', 'images'],
  ['pages', 'pages'],
] as const;

/**
 * What is sold are the billed units; the token counters beside them, and cached tokens, are not.
 * @throws UnreadableUsage when no unit is stated, or one is no quantity.
 */
const readBilledUnits = (
  billed: JsonObject,
): { classes: ClassQuantities; units: UnitQuantities } => {
  const classes: ClassQuantities = {};
  const units: UnitQuantities = {};
  const input = statedCount(billed, 'input_tokens');
  const output = statedCount(billed, 'output_tokens');
  const image = statedCount(billed, 'image_tokens') ?? 0;
  if (input !== undefined) classes.input_uncached = String(input);
  if (image > 0) classes['input_uncached.image'] = String(image);
  if (output !== undefined) classes.output_text = String(output);
  for (const [unit, name] of UNITS) {
    const quantity = statedQuantity(billed, name);
    if (quantity !== undefined && quantity !== '0') units[unit] = quantity;
  }
  // A unit that is not known here must not look like nothing.
  const known = ['input_tokens', 'output_tokens', 'image_tokens', ...UNITS.map(([, name]) => name)];
  mustHold(known.some((name) => typeof billed[name] === 'number'));
  return { classes, units };
};

/**
 * A usage object of a host that has Cohere's paths but not its units: chat as OpenAI states it (Writer), searches (OpenRouter), or input
 * only (Voyage, Jina). Cohere's own tokens without billed units say nothing about what is sold.
 */
const readTotal = (usage: JsonObject): { classes: ClassQuantities; units?: UnitQuantities } => {
  const searches = statedQuantity(usage, 'search_units');
  if (searches !== undefined) return { classes: {}, units: { search_units: searches } };
  if ('completion_tokens' in usage) return { classes: readCompatibleUsage(usage) };
  const total = statedCount(usage, 'total_tokens');
  mustHold(total !== undefined);
  const prompt = statedCount(usage, 'prompt_tokens') ?? total;
  return { classes: readCompatibleUsage({ ...usage, prompt_tokens: prompt }, { inputOnly: true }) };
};

/** Members that make an object one that states usage; `meta` may also hold only the version of the API. */
const STATED = ['billed_units', 'total_tokens', 'search_units', 'tokens'];

/** Places where v1 and v2, whole or streamed, state usage; each holds `billed_units`. */
const PLACES = [['usage'], ['meta'], ['delta', 'usage'], ['response', 'meta']] as const;

/** Cohere chat, generate, embed, rerank and classify, v1 and v2: they differ in where the billed units stand. */
export const createCohereReader = (): ReplyReader => {
  const seen = createTextSeen();
  let usage: JsonObject | null = null;
  let rawUsage: string | undefined;
  let model: string | undefined;
  let finishReason: string | undefined;

  const see = (object: JsonObject): void => {
    seen.add(object['text']);
    const message = asObject(asObject(object['delta'])?.['message']) ?? asObject(object['message']);
    const contents = Array.isArray(message?.['content'])
      ? message['content']
      : [message?.['content']];
    for (const content of contents.map(asObject)) {
      seen.add(content?.['text']);
      seen.add(content?.['thinking']);
    }
    seen.add(message?.['tool_plan']);
    const calls = message?.['tool_calls'];
    for (const call of Array.isArray(calls) ? calls : [calls]) {
      seen.add(asObject(asObject(call)?.['function'])?.['arguments']);
    }
    for (const choice of asArray(object['choices']).map(asObject)) {
      seen.add(asObject(choice?.['delta'] ?? choice?.['message'])?.['content']);
    }
    for (const made of asArray(object['generations'])) seen.add(asObject(made)?.['text']);
  };
  const read = (source: string, data: unknown): void => {
    const object = asObject(data);
    if (!object) return;
    model = asWord(object['model'], 200) ?? model;
    const ended = asObject(object['delta'])?.['finish_reason'] ?? object['finish_reason'];
    finishReason = asWord(ended, 64) ?? finishReason;
    if (object['event_type'] !== 'stream-end') see(object);
    for (const path of PLACES) {
      const stated = path.reduce<JsonObject | null>((at, name) => asObject(at?.[name]), object);
      if (!stated || !STATED.some((name) => (stated[name] ?? null) !== null)) continue;
      usage = stated;
      rawUsage = keepRawUsage(sourceAt(source, path), stated);
    }
  };
  return {
    readBody: read,
    readEvent: ({ source, data }) => read(source, data),
    statement: () => {
      const billed = asObject(usage?.['billed_units']);
      const whole = usage;
      const figures = billed ? () => readBilledUnits(billed) : whole && (() => readTotal(whole));
      return makeStatement({ rawUsage, model, finishReason }, figures);
    },
    textSeen: seen.text,
  };
};
