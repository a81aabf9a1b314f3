import type {
  ClassQuantities,
  UnitQuantities,
  UsageEvent,
} from '../../../../schemas/usage-event.ts';
import { keepRawUsage, mustHold, requiredCount, statedCount } from '../counts.ts';
import type { JsonObject, ReplyEvent, ReplyReader, Statement } from '../flavour.ts';
import { asArray, asLowerWord, asObject, asWord, createTextSeen } from '../flavour.ts';
import { sourceAt } from '../json-span.ts';

type Figures = Partial<Record<keyof ClassQuantities, number>>;

/**
 * Cache writes by time to live. The final statement of a stream states their sum only, so the split of the first statement is
 * kept; where the sum has changed since, the difference goes to the time to live that was in use (5 minutes when both were).
 */
const splitWrites = (usage: JsonObject, inOneStatement: boolean): Figures => {
  const total = statedCount(usage, 'cache_creation_input_tokens');
  const split = asObject(usage['cache_creation']);
  const five = statedCount(split, 'ephemeral_5m_input_tokens');
  const hour = statedCount(split, 'ephemeral_1h_input_tokens');
  if (five === undefined && hour === undefined) {
    return total === undefined ? {} : { cache_write_5m: total };
  }
  const sum = (five ?? 0) + (hour ?? 0);
  if (total === undefined || total === sum) {
    return { cache_write_5m: five ?? 0, cache_write_1h: hour ?? 0 };
  }
  mustHold(!inOneStatement);
  const kept = (five ?? 0) === 0 && (hour ?? 0) > 0 ? total : Math.min(hour ?? 0, total);
  return { cache_write_5m: total - kept, cache_write_1h: kept };
};

/** Input classes of one statement: the four counters are additional to each other. */
const readInput = (usage: JsonObject, inOneStatement: boolean): Figures => {
  const cached = statedCount(usage, 'cache_read_input_tokens');
  return {
    input_uncached: requiredCount(usage, 'input_tokens'),
    ...(cached === undefined ? {} : { cache_read: cached }),
    ...splitWrites(usage, inOneStatement),
  };
};

const readOutput = (usage: JsonObject): Figures => {
  const output = requiredCount(usage, 'output_tokens');
  const thinking = statedCount(asObject(usage['output_tokens_details']), 'thinking_tokens');
  mustHold(thinking === undefined || thinking <= output);
  return {
    output_text: output - (thinking ?? 0),
    ...(thinking === undefined ? {} : { output_reasoning: thinking }),
  };
};

const addFigures = (to: Figures, from: Figures): Figures => {
  const sum: Figures = { ...to };
  for (const [name, count] of Object.entries(from) as [keyof Figures, number][]) {
    sum[name] = (sum[name] ?? 0) + count;
  }
  return sum;
};

const asQuantities = (figures: Figures): ClassQuantities =>
  Object.fromEntries(Object.entries(figures).map(([name, count]) => [name, String(count)]));

/** More parts than this are in no event; the reply is then unreadable, and shows. */
const PARTS_MAX = 64;

/**
 * Figures by the model that served them. Where `iterations` are stated they are what is billed: compaction and advisor
 * turns stand only there. Thinking is stated for the reply as a whole and belongs to the reply's own model.
 */
const figuresByModel = (usage: JsonObject, model: string): Map<string, Figures> => {
  const whole = { ...readInput(usage, false), ...readOutput(usage) };
  const iterations = asArray(usage['iterations']).map(asObject);
  if (iterations.length === 0) return new Map([[model, whole]]);
  const byModel = new Map<string, Figures>();
  for (const turn of iterations) {
    mustHold(turn !== null);
    if (!turn) continue;
    const served = asWord(turn['model'], 200) ?? model;
    // A turn may leave the split of its writes to the whole.
    const split = turn['cache_creation'] ?? usage['cache_creation'];
    const isOwnSplit = split === turn['cache_creation'];
    const input = readInput({ ...turn, cache_creation: split }, isOwnSplit);
    const figures = { ...input, ...readOutput(turn) };
    byModel.set(served, addFigures(byModel.get(served) ?? {}, figures));
  }
  mustHold(byModel.size <= PARTS_MAX);
  const own = byModel.get(model);
  const thinking = whole.output_reasoning;
  if (own && thinking !== undefined && own.output_reasoning === undefined) {
    mustHold((own.output_text ?? 0) >= thinking);
    byModel.set(model, {
      ...own,
      output_text: (own.output_text ?? 0) - thinking,
      output_reasoning: thinking,
    });
  }
  return byModel;
};

const readUnits = (usage: JsonObject): UnitQuantities => {
  const tools = asObject(usage['server_tool_use']);
  const units: UnitQuantities = {};
  for (const unit of ['web_search_requests', 'web_fetch_requests'] as const) {
    const count = statedCount(tools, unit);
    if (count !== undefined && count > 0) units[unit] = String(count);
  }
  return units;
};

/** @throws UnreadableUsage */
const readUsage = (usage: JsonObject, model: string | undefined, whole: boolean) => {
  // A single statement must agree with itself; a merged one may not, see splitWrites.
  if (whole) splitWrites(usage, true);
  const units = readUnits(usage);
  const own = model ?? 'unstated';
  const byModel = figuresByModel(usage, own);
  const classes = asQuantities([...byModel.values()].reduce(addFigures, {}));
  if (byModel.size === 1 && byModel.has(own)) return { classes, units };
  // Parts are the whole truth: where the reply's own model served none, the first carries the tools.
  const [first] = byModel.keys();
  const carrier = byModel.has(own) ? own : first;
  const parts: NonNullable<UsageEvent['parts']> = [...byModel].map(([name, figures]) => ({
    model: name,
    classes: asQuantities(figures),
    units: name === carrier ? units : {},
  }));
  return { classes, units, parts };
};

const tierOf = (usage: JsonObject | null): string | undefined => {
  if (usage?.['speed'] === 'fast') return 'fast';
  return asLowerWord(usage?.['service_tier'], 64);
};

const geoOf = (usage: JsonObject | null): string | undefined => {
  const geo = asLowerWord(usage?.['inference_geo'], 64);
  return geo === 'not_available' ? undefined : geo;
};

/** The later statement wins field by field; it never adds. Counts may shrink (a compaction empties the cache). */
const merge = (before: JsonObject | null, after: JsonObject): JsonObject => ({
  ...before,
  ...Object.fromEntries(Object.entries(after).filter(([, value]) => value !== null)),
});

/** What a reader of Messages has gathered so far. */
interface Gathered {
  usage: JsonObject | null;
  raw: (string | undefined)[];
  final: boolean;
  whole: boolean;
  model: string | undefined;
  finishReason: string | undefined;
}

const statementOf = (gathered: Gathered): Statement => {
  const { usage, model, finishReason } = gathered;
  const tier = tierOf(usage);
  const geo = geoOf(usage);
  const rawUsage = gathered.raw.filter((text) => text !== undefined).join('\n');
  const about = {
    ...(rawUsage === '' || rawUsage.length > 65_536 ? {} : { rawUsage }),
    ...(model === undefined ? {} : { model }),
    ...(tier === undefined ? {} : { tier }),
    ...(geo === undefined ? {} : { geo }),
    ...(finishReason === undefined ? {} : { finishReason }),
  };
  if (!usage) return { completeness: 'none', classes: {}, units: {}, ...about };
  try {
    const figures = readUsage(usage, model, gathered.whole);
    return { completeness: gathered.final ? 'full' : 'part', ...figures, ...about };
  } catch {
    return { completeness: 'unreadable', classes: {}, units: {}, ...about };
  }
};

/**
 * Anthropic Messages. `message_start` states preliminary figures, each `message_delta` the cumulative ones: the last statement
 * wins. A reply that stops before a `message_delta` is stated in part.
 */
export const createAnthropicMessagesReader = (): ReplyReader => {
  const seen = createTextSeen();
  const gathered: Gathered = {
    usage: null,
    raw: [],
    final: false,
    whole: false,
    model: undefined,
    finishReason: undefined,
  };

  const readMessage = (source: string, message: JsonObject, path: readonly string[]): void => {
    gathered.model = asWord(message['model'], 200) ?? gathered.model;
    gathered.finishReason = asWord(message['stop_reason'], 64) ?? gathered.finishReason;
    const usage = asObject(message['usage']);
    if (!usage) return;
    gathered.usage = merge(null, usage);
    gathered.raw = [keepRawUsage(sourceAt(source, [...path, 'usage']), usage)];
  };

  /** The legacy text completions, which state no usage: their text is counted. */
  const readCompletion = (reply: JsonObject): void => {
    gathered.model = asWord(reply['model'], 200) ?? gathered.model;
    gathered.finishReason = asWord(reply['stop_reason'], 64) ?? gathered.finishReason;
    seen.add(reply['completion']);
  };

  const readEvent = ({ source, data }: ReplyEvent): void => {
    const event = asObject(data);
    const message = asObject(event?.['message']);
    if (event?.['type'] === 'message_start' && message) readMessage(source, message, ['message']);
    const delta = asObject(event?.['delta']);
    if (event?.['type'] === 'content_block_delta') {
      seen.add(delta?.['text']);
      seen.add(delta?.['thinking']);
      seen.add(delta?.['partial_json']);
    }
    if (event?.['type'] === 'completion') readCompletion(event);
    if (event?.['type'] !== 'message_delta') return;
    gathered.finishReason = asWord(delta?.['stop_reason'], 64) ?? gathered.finishReason;
    const usage = asObject(event['usage']);
    if (!usage) return;
    gathered.usage = merge(gathered.usage, usage);
    gathered.raw = [gathered.raw[0], keepRawUsage(sourceAt(source, ['usage']), usage)];
    gathered.final = true;
  };

  return {
    readBody: (source, body) => {
      const message = asObject(body);
      if (!message) return;
      gathered.final = true;
      gathered.whole = true;
      readMessage(source, message, []);
      seen.add(message['completion']);
      for (const block of asArray(message['content']).map(asObject)) {
        seen.add(block?.['text'] ?? block?.['thinking']);
        if (block?.['input'] !== undefined) seen.add(JSON.stringify(block['input']));
      }
    },
    readEvent,
    statement: () => statementOf(gathered),
    textSeen: seen.text,
  };
};
