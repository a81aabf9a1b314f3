import type { PriceBook, Prices } from './api.ts';

const FINDINGS: Record<string, { one: string; many: string }> = {
  stale: { one: 'book is stale', many: 'books are stale' },
  ends_soon: { one: 'book has prices that end soon', many: 'books have prices that end soon' },
  announced_due: {
    one: 'book has announced prices that are due',
    many: 'books have announced prices that are due',
  },
  open_conflict: { one: 'book has prices in dispute', many: 'books have prices in dispute' },
};

/** `2 books are stale, 1 book has announced prices that are due`; empty where nothing needs a person. */
const summaryOf = (books: readonly PriceBook[]): string =>
  Object.entries(FINDINGS)
    .map(([name, { one, many }]) => {
      const count = books.filter((book) => book.findings.some((f) => f.finding === name)).length;
      if (count === 0) return '';
      return `${count} ${count === 1 ? one : many}`;
    })
    .filter((text) => text !== '')
    .join(', ');

const Unpriced = ({ unpriced }: Pick<Prices, 'unpriced'>) => (
  <>
    <p class="hint warn">Usage that no book prices. It is in no sum until its price is there.</p>
    <ul class="hint">
      {unpriced.map(({ provider, model, reason, events }) => (
        <li key={`${provider} ${model} ${reason}`}>
          {provider} <code>{model}</code>: {events.toLocaleString('en')}{' '}
          {events === 1 ? 'event' : 'events'},{' '}
          {reason === 'unknown_model' ? 'no book names the model' : 'a meter has no price'}
        </li>
      ))}
    </ul>
  </>
);

const BookRow = ({ book }: { book: PriceBook }) => (
  <tr>
    <th scope="row">
      {book.provider}
      <span class="sub">
        approved by {book.approved_by.join(', ') || 'nobody'} · last compared{' '}
        {book.last_compared ?? 'never'}
      </span>
      {book.findings.map(({ finding, what }) => (
        <span key={`${finding} ${what}`} class="sub warn">
          {what}
        </span>
      ))}
    </th>
    <td class="number">{book.version}</td>
    <td class="number">{book.known_from.slice(0, 10)}</td>
  </tr>
);

/** The price books in force, what of them needs a person, and what no book prices. */
export const PriceBooks = ({ prices }: { prices: Prices }) => {
  const summary = summaryOf(prices.rows);
  return (
    <section class="card wide" aria-labelledby="prices">
      <div class="card-head">
        <h2 id="prices">Price books</h2>
        <span class={summary === '' ? 'good' : 'warn'}>
          {summary === '' ? 'nothing needs a person' : summary}
        </span>
      </div>
      {prices.unpriced.length === 0 ? null : <Unpriced unpriced={prices.unpriced} />}
      <details>
        <summary>{prices.rows.length} books in force</summary>
        <div class="scroll">
          <table class="books">
            <thead class="quiet">
              <tr>
                <th scope="col">provider</th>
                <th scope="col" class="number">
                  version
                </th>
                <th scope="col" class="number">
                  known from
                </th>
              </tr>
            </thead>
            <tbody>
              {prices.rows.map((book) => (
                <BookRow key={book.provider} book={book} />
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </section>
  );
};
