import type { Meter } from '../../../schemas/words.ts';
import { ANY_MODEL, isBilledWithoutModel, meterGroupOf, UNMAPPED } from './meter-groups.ts';

/** The grain of the comparison within a provider and a period. */
export interface CellName {
  /** Model as the statement names it; `*` for what is billed without one; empty where unmapped. */
  readonly model: string;
  /** Meter as the statement groups it, or `unmapped`. */
  readonly meter: string;
}

export const cellKey = (cell: CellName): string => `${cell.model}\n${cell.meter}`;

export const UNMAPPED_CELL: CellName = { model: '', meter: UNMAPPED };

/** Names the cell of a charge, a statement line or an item. */
export type CellNaming = (model: string, meter: Meter) => CellName;

/** Names are worked out once: a month has millions of charges and some dozens of cells. */
export const createCellNaming = (
  provider: string,
  nameModel: (model: string) => string,
): CellNaming => {
  const cells = new Map<string, CellName>();
  return (model, meter) => {
    const key = cellKey({ model, meter });
    let cell = cells.get(key);
    if (cell === undefined) {
      cell = isBilledWithoutModel(meter)
        ? { model: ANY_MODEL, meter }
        : { model: nameModel(model), meter: meterGroupOf(provider, meter) };
      cells.set(key, cell);
    }
    return cell;
  };
};
