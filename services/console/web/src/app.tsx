import { Amount } from './amount.tsx';
import { logout } from './api.ts';
import { Budgets } from './budgets.tsx';
import { DayChart } from './day-chart.tsx';
import { Empty } from './empty.tsx';
import { Link } from './link.tsx';
import { Login } from './login.tsx';
import { decimalsFor, isSame, isZero } from './money.ts';
import { PriceBooks } from './price-books.tsx';
import { SpendTable } from './spend-table.tsx';
import type { Figures } from './state.ts';
import {
  FILTERS,
  failure,
  figures,
  go,
  hrefOf,
  loading,
  prices,
  refresh,
  session,
  view,
} from './state.ts';
import { Differences, Status } from './status.tsx';

const MONTH = new Intl.DateTimeFormat('en', { month: 'long', year: 'numeric', timeZone: 'UTC' });
const monthName = (period: string): string => MONTH.format(new Date(`${period}-01T00:00:00Z`));

const PeriodSelect = ({ shown }: { shown: Figures }) => {
  const periods = [...new Set([...shown.periods, shown.period])].sort().reverse();
  return (
    <label class="period">
      <span class="visually-hidden">Period</span>
      <select
        value={shown.period}
        onChange={(event) => go(hrefOf({ period: event.currentTarget.value }))}
      >
        {periods.map((period) => (
          <option key={period} value={period}>
            {monthName(period)}
          </option>
        ))}
      </select>
    </label>
  );
};

const Chips = () => (
  <ul class="chips" aria-label="Filters">
    {FILTERS.flatMap((name) => {
      const value = view.value[name];
      return value === undefined
        ? []
        : [
            <li key={name}>
              <Link
                className="chip"
                href={hrefOf({ [name]: undefined })}
                label={`Remove ${name} ${value}`}
              >
                <span class="muted">{name}</span> {value} <span aria-hidden="true">×</span>
              </Link>
            </li>,
          ];
    })}
  </ul>
);

/** The same money at three places, so that a reader sees whether they agree. */
const Totals = ({ shown }: { shown: Figures }) => {
  const { totals } = shown;
  const filtered = FILTERS.some((name) => view.value[name] !== undefined);
  const decimals = decimalsFor([totals.ledger_usd, totals.rollup_usd]);
  const agree = isSame(totals.ledger_usd, totals.rollup_usd);
  return (
    <dl class="totals">
      <div>
        <dt>Events</dt>
        <dd>{totals.events.toLocaleString('en')}</dd>
      </div>
      <div>
        <dt>Without a price</dt>
        <dd class={totals.unrated > 0 ? 'warn' : undefined}>
          {totals.unrated.toLocaleString('en')}
        </dd>
      </div>
      {totals.flagged > 0 ? (
        <div>
          <dt>Provider states otherwise</dt>
          <dd class="warn">{totals.flagged.toLocaleString('en')}</dd>
        </div>
      ) : null}
      <div>
        <dt>Ledger, USD</dt>
        <dd>
          <Amount usd={totals.ledger_usd} decimals={decimals} />
        </dd>
      </div>
      <div>
        <dt>
          Rollup, USD{' '}
          {agree ? <span class="good">= ledger</span> : <span class="bad">≠ ledger</span>}
        </dt>
        <dd>
          <Amount usd={totals.rollup_usd} decimals={decimals} />
        </dd>
      </div>
      {filtered ? (
        <div>
          <dt>Shown of it, USD</dt>
          <dd>
            <Amount usd={shown.day.total_usd} decimals={decimals} />
          </dd>
        </div>
      ) : null}
    </dl>
  );
};

const Overview = ({ shown }: { shown: Figures }) => {
  const total = shown.day.total_usd;
  return (
    <section class="overview" aria-labelledby="total">
      <h1 id="total">
        <span class="muted">Spend in {monthName(shown.period)}</span>
        <span class="total">
          <Amount usd={total} decimals={decimalsFor([total])} />
          <span class="unit">USD</span>
        </span>
      </h1>
      <Chips />
      <Totals shown={shown} />
    </section>
  );
};

const Spendings = ({ shown }: { shown: Figures }) => (
  <>
    <DayChart period={shown.period} spend={shown.day} />
    <div class="columns">
      <SpendTable by="tenant" title="By tenant" spend={shown.tenant} />
      <SpendTable by="feature" title="By feature" spend={shown.feature} />
      <SpendTable by="model" title="By model" spend={shown.model} />
    </div>
  </>
);

const Failure = ({ text }: { text: string }) => (
  <section class="banner warn" role="alert">
    <span>
      <strong>The figures could not be read.</strong> {text}{' '}
      {figures.value === null ? null : 'What is shown is the last reading.'}
    </span>
    <button type="button" onClick={() => void refresh()}>
      Try again
    </button>
  </section>
);

const Page = ({ shown }: { shown: Figures }) => {
  const nothing = shown.day.rows.length === 0 && isZero(shown.day.total_usd);
  return (
    <>
      <Differences totals={shown.totals} />
      <Overview shown={shown} />
      {nothing ? <Empty house={shown.periods.length === 0} /> : <Spendings shown={shown} />}
      <Budgets budgets={shown.budgets} />
      {prices.value === null ? null : <PriceBooks prices={prices.value} />}
    </>
  );
};

export const App = () => {
  if (session.value === 'out') return <Login />;
  const shown = figures.value;
  return (
    <>
      <a class="skip" href="#content">
        To the figures
      </a>
      <header class="top">
        <Link href="/" className="brand" label="Reckoner: all spend of the newest period">
          Reckoner
        </Link>
        {shown ? <PeriodSelect shown={shown} /> : null}
        {shown ? <Status totals={shown.totals} /> : null}
        <button
          type="button"
          class="plain"
          onClick={() => void logout().finally(() => void refresh())}
        >
          Log out
        </button>
      </header>
      <main id="content" aria-busy={loading.value}>
        {failure.value === null ? null : <Failure text={failure.value} />}
        {shown ? (
          <Page shown={shown} />
        ) : failure.value === null ? (
          <p class="hint">Reading…</p>
        ) : null}
      </main>
    </>
  );
};
