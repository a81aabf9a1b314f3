/** One line of a diff: what a price was and what it would be. */
export interface PriceChange {
  kind: 'added' | 'changed' | 'removed';
  model: string;
  meter: string;
  /** Tier, geography, context band, hours; and whether it is one of several claims. */
  conditions: string;
  valid_from: string;
  before: string;
  after: string;
  /** In percent of the price before, rounded for people; empty where there is no price before. */
  percent: string;
  /** What a person must look at: `beyond 20 %`, `waits until 2027-01-01`, `claim`. */
  flag: string;
}
