import { Link } from './link.tsx';
import { hrefOf } from './state.ts';

/** What stands where nothing is to be shown: why, and what to do next. */
export const Empty = ({ house }: { house: boolean }) =>
  house ? (
    <section class="card empty" aria-labelledby="empty">
      <h2 id="empty">Nothing has been metered yet</h2>
      <p>Send a first call through the proxy; its cost is here a moment later.</p>
      <ol>
        <li>
          Declare a tenant and a key in <code>reckoner.yaml</code>, or make a key:{' '}
          <code>reckoner keys create</code>.
        </li>
        <li>
          Point your client at the proxy, and give it the key instead of the provider's:
          <pre>
            <code>{'OPENAI_BASE_URL=http://127.0.0.1:8787/openai/v1\nOPENAI_API_KEY=rk_…'}</code>
          </pre>
        </li>
        <li>
          Or look at it with made-up traffic first: <code>npm run demo -- --keep</code>
        </li>
      </ol>
    </section>
  ) : (
    <section class="card empty" aria-labelledby="empty">
      <h2 id="empty">No spend matches</h2>
      <p>
        There is spend in other periods or outside these filters.{' '}
        <Link
          href={hrefOf({
            tenant: undefined,
            feature: undefined,
            model: undefined,
            period: undefined,
          })}
        >
          Show all of the newest period
        </Link>
      </p>
    </section>
  );
