/** One measured figure. With an aim it says whether the aim holds. */
export interface BenchRow {
  case: string;
  metric: string;
  value: number;
  unit: string;
  aim?: string;
  holds?: boolean;
}

/** @param options `seconds`: about how long to measure; each benchmark has its own default. */
export type Bench = (options?: { seconds?: number }) => Promise<BenchRow[]>;
