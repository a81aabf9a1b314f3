import { useSignal } from '@preact/signals';
import { login } from './api.ts';
import { refresh } from './state.ts';

export const Login = () => {
  const problem = useSignal<string | null>(null);
  const busy = useSignal(false);
  const submit = async (form: HTMLFormElement): Promise<void> => {
    const token = String(new FormData(form).get('token') ?? '').trim();
    if (token === '' || busy.value) return;
    busy.value = true;
    problem.value = null;
    try {
      await login(token);
      await refresh();
    } catch (error) {
      problem.value = error instanceof Error ? error.message : 'The login failed.';
    } finally {
      busy.value = false;
    }
  };
  return (
    <main class="login">
      <form
        class="card"
        onSubmit={(event) => {
          event.preventDefault();
          void submit(event.currentTarget);
        }}
      >
        <h1 class="brand">Reckoner</h1>
        <p class="muted">What your models cost, to the last digit.</p>
        <label for="token">Access token</label>
        <input
          id="token"
          name="token"
          type="password"
          required
          autocomplete="current-password"
          spellcheck={false}
          aria-describedby="token-hint"
        />
        <p id="token-hint" class="hint">
          It stands in the file <code>bootstrap-token</code> of the data directory;{' '}
          <code>reckoner up</code> names it when it starts.
        </p>
        {problem.value === null ? null : (
          <p class="problem" role="alert">
            {problem.value}
          </p>
        )}
        <button type="submit" disabled={busy.value}>
          {busy.value ? 'Checking…' : 'Open the console'}
        </button>
      </form>
    </main>
  );
};
