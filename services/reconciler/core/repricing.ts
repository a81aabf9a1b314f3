import { scaledAmount } from '../../../pricing/money.ts';
import type { Meter } from '../../../schemas/words.ts';
import type { NamedAmount } from './causes.ts';
import type { CellName, CellNaming } from './cell.ts';
import { cellKey } from './cell.ts';
import type { StatementFile, StatementSum } from './effective-lines.ts';
import { roundingBound } from './effective-lines.ts';
import { ANY_MODEL } from './meter-groups.ts';

/** What the ledger charges at one price: USD and the meter's unit. */
export interface LedgerSlice {
  model: string;
  meter: Meter;
  /** As the reply states it, or empty. */
  tier: string;
  unit_price: string;
  quantity: string;
  amount_usd: string;
}

/** A price that a book lists, whether or not anything was charged at it. */
export interface ListPrice {
  model: string;
  meter: Meter;
  tier: string;
  unit_price: string;
}

interface Slice {
  meter: Meter;
  price: bigint;
  quantity: bigint;
}

/** One line both sides can be compared at: a cell, and the tier where the statement tells tiers apart. */
interface PricedLine {
  cell: CellName;
  tier: string;
  ledger: bigint;
  statement: bigint;
  bound: bigint;
  /** By meter and price. */
  slices: Map<string, Slice>;
}

/** A cause that lies in one cell. */
export interface ProvenCause {
  cell: CellName;
  named: NamedAmount;
}

export const TIER_TEXT = 'tokens billed at the price of another service tier';
export const CACHE_TEXT = 'tokens billed as another class of cached or uncached input';

/** What replies and statements call the tier that has no name. */
const STANDARD = new Set(['', 'default', 'standard', 'on_demand']);
const tierName = (tier: string | null | undefined): string =>
  tier === null || tier === undefined || STANDARD.has(tier) ? '' : tier;
const shownTier = (tier: string): string => (tier === '' ? 'standard' : tier);

const WHOLE = 10n ** 18n;
const magnitude = (value: bigint): bigint => (value < 0n ? -value : value);

/** Input that may lie in a cache or not; of one modality. Null for everything else. */
const cacheFamily = (meter: string): string | null => {
  const [tokenClass = '', modality = ''] = meter.split('.');
  return tokenClass === 'input_uncached' || tokenClass.startsWith('cache_') ? modality : null;
};

type Lines = Map<string, PricedLine>;

const lineOf = (lines: Lines, cell: CellName, tier: string): PricedLine => {
  const key = `${cellKey(cell)}\n${tier}`;
  const line = lines.get(key) ?? {
    ...{ cell, tier, ledger: 0n, statement: 0n, bound: 0n },
    slices: new Map<string, Slice>(),
  };
  lines.set(key, line);
  return line;
};

interface Sides {
  slices: readonly LedgerSlice[];
  prices: readonly ListPrice[];
  sums: readonly StatementSum[];
  files: ReadonlyMap<string, StatementFile>;
  cell: CellNaming;
}

const collectLines = ({ slices, sums, files, cell }: Sides, splitsTiers: boolean): Lines => {
  const lines: Lines = new Map();
  const tierOf = (tier: string | null | undefined): string => (splitsTiers ? tierName(tier) : '');
  for (const { model, meter, tier, unit_price, quantity, amount_usd } of slices) {
    const line = lineOf(lines, cell(model, meter), tierOf(tier));
    line.ledger += scaledAmount(amount_usd);
    const key = `${meter}\n${unit_price}`;
    const slice = line.slices.get(key) ?? { meter, price: scaledAmount(unit_price), quantity: 0n };
    slice.quantity += scaledAmount(quantity);
    line.slices.set(key, slice);
  }
  for (const sum of sums) {
    const amount = scaledAmount(sum.amount_usd);
    if (sum.meter === null || amount < 0n) continue;
    const line = lineOf(lines, cell(sum.model ?? ANY_MODEL, sum.meter), tierOf(sum.tier));
    line.statement += amount;
    line.bound += roundingBound(sum.lines, files.get(sum.statement_id)?.amount_places ?? 18);
  }
  return lines;
};

/** Prices of a model (as the cells name it), meter and tier: those that were charged, and those that a book lists. */
const collectPrices = ({ slices, prices, cell }: Sides) => {
  const known = new Map<string, Set<bigint>>();
  for (const { model, meter, tier, unit_price } of [...slices, ...prices]) {
    const key = `${cell(model, meter).model}\n${meter}\n${tierName(tier)}`;
    const held = known.get(key) ?? new Set();
    known.set(key, held.add(scaledAmount(unit_price)));
  }
  return (model: string, meter: string, tier: string): bigint[] => [
    ...(known.get(`${model}\n${meter}\n${tier}`) ?? []),
  ];
};

type PriceOf = ReturnType<typeof collectPrices>;

/** So many tokens that the ledger has on one line and the statement on another, or on the same at another price. */
interface Move {
  kind: 'tier' | 'cache';
  from: PricedLine;
  to: PricedLine;
  tokens: bigint;
  /** What the line they left is lower by, and what the one they came to is higher by. Of one line: nothing, and the difference. */
  less: bigint;
  more: bigint;
}

const WRITES_OF_A_LINE = ['cache_write_30m', 'cache_write_12h'];

/** Meters that a line of the statement may be for. */
const metersOn = (line: PricedLine): string[] => {
  const charged = [...line.slices.values()].map(({ meter }) => meter);
  const named = line.cell.meter === 'cache_write' ? WRITES_OF_A_LINE : [line.cell.meter];
  return [...new Set<string>([...charged, ...named])];
};

const offBy = (line: PricedLine): bigint => line.statement - line.ledger;
const isOff = (line: PricedLine): boolean => magnitude(offBy(line)) > line.bound;

/** A whole number of tokens that both lines are off by, each at its own price; null when there is none, or more than one. */
const tokensMoved = (from: PricedLine, to: PricedLine, at: { slice: Slice; price: bigint }) => {
  const { slice, price } = at;
  if (slice.price <= 0n || price <= 0n) return null;
  const less = -offBy(from);
  const isWhole = magnitude(less - (slice.quantity * slice.price) / WHOLE) <= from.bound;
  // More than one count would do where printing is coarser than a token.
  if (!isWhole && 2n * from.bound >= slice.price) return null;
  const tokens = isWhole ? slice.quantity / WHOLE : (less + slice.price / 2n) / slice.price;
  if (tokens <= 0n || tokens * WHOLE > slice.quantity) return null;
  if (magnitude(less - tokens * slice.price) > from.bound) return null;
  return magnitude(offBy(to) - tokens * price) > to.bound ? null : tokens;
};

const relationOf = (from: PricedLine, to: PricedLine): Move['kind'] | null => {
  if (from.cell.model !== to.cell.model) return null;
  if (from.cell.meter === to.cell.meter) return from.tier === to.tier ? null : 'tier';
  const family = cacheFamily(from.cell.meter);
  const isFamily = family !== null && family === cacheFamily(to.cell.meter);
  return isFamily && from.tier === to.tier ? 'cache' : null;
};

const movesBetween = (lines: readonly PricedLine[], priceOf: PriceOf): Move[] =>
  lines.flatMap((from) =>
    lines.flatMap((to) => {
      const kind = isOff(from) && isOff(to) && offBy(from) < 0n ? relationOf(from, to) : null;
      if (kind === null || offBy(to) < 0n) return [];
      return [...from.slices.values()].flatMap((slice) => {
        const meters = kind === 'tier' ? [slice.meter] : metersOn(to);
        const prices = new Set(meters.flatMap((meter) => priceOf(to.cell.model, meter, to.tier)));
        return [...prices].flatMap((price): Move[] => {
          const tokens = tokensMoved(from, to, { slice, price });
          if (tokens === null) return [];
          return [{ kind, from, to, tokens, less: tokens * slice.price, more: tokens * price }];
        });
      });
    }),
  );

/**
 * All of a cached line at the price of another class. Proven only beside lines of the same model that agree, output among them: calls that are
 * missing on one side would show there as well.
 */
const movesInPlace = (lines: readonly PricedLine[], priceOf: PriceOf): Move[] =>
  lines.flatMap((line) => {
    const slices = [...line.slices.values()];
    const [slice] = slices;
    const family = cacheFamily(line.cell.meter);
    if (!slice || slices.length > 1 || family === null || !isOff(line)) return [];
    const others = lines.filter((other) => other.cell.model === line.cell.model && other !== line);
    const isAlone = others.every((other) => !isOff(other));
    const hasOutput = others.some(
      (other) => other.cell.meter.startsWith('output') && other.ledger > 2n * other.bound,
    );
    if (!isAlone || !hasOutput) return [];
    const meters = others
      .filter((other) => cacheFamily(other.cell.meter) === family)
      .flatMap(metersOn);
    const prices = new Set(meters.flatMap((name) => priceOf(line.cell.model, name, line.tier)));
    prices.delete(slice.price);
    return [...prices].flatMap((price): Move[] => {
      const more = (slice.quantity * (price - slice.price)) / WHOLE;
      if (magnitude(offBy(line) - more) > line.bound) return [];
      return [
        { kind: 'cache', from: line, to: line, tokens: slice.quantity / WHOLE, less: 0n, more },
      ];
    });
  });

const evidenceOf = ({ kind, from, to, tokens }: Move): string => {
  if (kind === 'tier') {
    return `${tokens} tokens that we charge as ${shownTier(from.tier)} stand on the line of ${shownTier(to.tier)}: both lines are off by exactly so many.`;
  }
  return from === to
    ? `All ${tokens} tokens are billed at the price of another class, while every other line of the model agrees.`
    : `${tokens} tokens that we charge as ${from.cell.meter} stand on the line of ${to.cell.meter}: both lines are off by exactly so many.`;
};

const causesOf = (move: Move): ProvenCause[] => {
  const { kind, from, to, less, more } = move;
  const about = {
    class: kind,
    explained: false,
    count: 0,
    text: kind === 'tier' ? TIER_TEXT : CACHE_TEXT,
    evidence: evidenceOf(move),
  };
  const isOneCell = cellKey(from.cell) === cellKey(to.cell);
  if (isOneCell) return [{ cell: to.cell, named: { ...about, amount: more - less } }];
  return [
    { cell: from.cell, named: { ...about, amount: -less } },
    { cell: to.cell, named: { ...about, amount: more } },
  ];
};

/**
 * Finds tokens that stand on another line of the statement than in the ledger: at another tier, or in another class of cached input. Statements
 * print no quantities, so a move is proven by two lines that are off by the same whole number of tokens, each at its own price. Where two
 * readings of one line would do, none is taken.
 */
export const findMoves = (sides: Sides): ProvenCause[] => {
  const splitsTiers = sides.sums.some(({ tier }) => tierName(tier) !== '');
  const lines = [...collectLines(sides, splitsTiers).values()];
  const priceOf = collectPrices(sides);
  const byModel = new Map<string, PricedLine[]>();
  for (const line of lines) {
    byModel.set(line.cell.model, [...(byModel.get(line.cell.model) ?? []), line]);
  }
  const moves = [...byModel.values()].flatMap((group) => [
    ...movesBetween(group, priceOf),
    ...movesInPlace(group, priceOf),
  ]);
  const touches = (move: Move, line: PricedLine): boolean => move.from === line || move.to === line;
  const isOnly = (move: Move): boolean =>
    moves.every(
      (other) => other === move || !(touches(other, move.from) || touches(other, move.to)),
    );
  return moves.filter(isOnly).flatMap(causesOf);
};
