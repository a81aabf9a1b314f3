import { shortUsd } from './money.ts';

/** Money in short, the exact amount in its title. */
export const Amount = ({ usd, decimals }: { usd: string; decimals: number }) => (
  <data class="amount" value={usd} title={`${usd} USD`}>
    {shortUsd(usd, decimals)}
  </data>
);
