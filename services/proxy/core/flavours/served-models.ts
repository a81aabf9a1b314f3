import type {
  ClassQuantities,
  UnitQuantities,
  UsageEvent,
} from '../../../../schemas/usage-event.ts';
import type { ClassKey } from '../../../../schemas/words.ts';
import { mustHold } from '../counts.ts';
import { asArray, asObject, asWord } from '../flavour.ts';
import { readCompatibleUsage } from './compatible-usage.ts';

const add = (to: ClassQuantities, from: ClassQuantities): ClassQuantities => {
  const sum = { ...to };
  for (const [key, count] of Object.entries(from) as [ClassKey, string][]) {
    sum[key] = String(BigInt(sum[key] ?? '0') + BigInt(count));
  }
  return sum;
};

/**
 * Groq's compound systems state usage by the models that worked for one reply: those are what is billed, each at its own price.
 * @returns parts that sum to `classes`; nothing when no breakdown is stated.
 * @throws UnreadableUsage when an entry names no model or no counts.
 */
export const readServedModels = (
  breakdown: unknown,
  reply: { model: string | undefined; units: UnitQuantities },
): { classes?: ClassQuantities; parts?: NonNullable<UsageEvent['parts']> } => {
  const byModel = new Map<string, ClassQuantities>();
  for (const entry of asArray(asObject(breakdown)?.['models']).map(asObject)) {
    const model = asWord(entry?.['model'], 200);
    const usage = asObject(entry?.['usage']);
    mustHold(model !== undefined && usage !== null);
    if (!model || !usage) continue;
    byModel.set(model, add(byModel.get(model) ?? {}, readCompatibleUsage(usage)));
  }
  if (byModel.size === 0) return {};
  const classes = [...byModel.values()].reduce(add, {});
  const first = byModel.keys().next().value;
  const owner = reply.model !== undefined && byModel.has(reply.model) ? reply.model : first;
  const parts = [...byModel].map(([model, own]) => ({
    model,
    classes: own,
    units: model === owner ? reply.units : {},
  }));
  return { classes, parts };
};
