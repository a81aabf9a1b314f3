import { Amount } from './amount.tsx';
import type { Spend } from './api.ts';
import { Link } from './link.tsx';
import { decimalsFor, maxUsd, percent, shareOf } from './money.ts';
import type { Filter } from './state.ts';
import { hrefOf, view } from './state.ts';

const ROWS_SHOWN = 12;

/** Spend by one dimension, greatest first; each name narrows the page to it. */
export const SpendTable = ({ by, title, spend }: { by: Filter; title: string; spend: Spend }) => {
  const amounts = spend.rows.map((row) => row.amount_usd);
  const decimals = decimalsFor(amounts);
  const greatest = maxUsd(amounts);
  const rest = spend.rows.length - ROWS_SHOWN;
  return (
    <section class="card" aria-labelledby={`by-${by}`}>
      <div class="card-head">
        <h2 id={`by-${by}`}>{title}</h2>
      </div>
      <table>
        <thead class="quiet">
          <tr>
            <th scope="col">{by}</th>
            <th scope="col" class="number">
              USD
            </th>
            <th scope="col" class="number share">
              share
            </th>
          </tr>
        </thead>
        <tbody>
          {spend.rows.slice(0, ROWS_SHOWN).map((row) => {
            const name = row[by] ?? '';
            const chosen = view.value[by] === name;
            return (
              <tr key={name}>
                <th scope="row">
                  <Link
                    href={hrefOf({ [by]: chosen ? undefined : name })}
                    label={chosen ? `${name}: show all again` : `Show only ${by} ${name}`}
                  >
                    {name}
                  </Link>
                  <span class="track" aria-hidden="true">
                    <span
                      class="length"
                      style={{ width: `${shareOf(row.amount_usd, greatest) * 100}%` }}
                    />
                  </span>
                </th>
                <td class="number">
                  <Amount usd={row.amount_usd} decimals={decimals} />
                </td>
                <td class="number share">{percent(shareOf(row.amount_usd, spend.total_usd))}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
      {rest > 0 ? (
        <p class="hint">
          and {rest} more: GET /api/v1/spend?by={by}
        </p>
      ) : null}
    </section>
  );
};
