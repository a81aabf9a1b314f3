/** One measured figure. With an aim it says whether the aim holds. */
export interface BenchRow {
  case: string;
  metric: string;
  value: number;
  unit: string;
  aim?: string;
  holds?: boolean;
}

export type Bench = () => Promise<BenchRow[]>;
