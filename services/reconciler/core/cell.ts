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

export const createCellNaming =
  (provider: string, nameModel: (model: string) => string): CellNaming =>
  (model, meter) =>
    isBilledWithoutModel(meter)
      ? { model: ANY_MODEL, meter }
      : { model: nameModel(model), meter: meterGroupOf(provider, meter) };
