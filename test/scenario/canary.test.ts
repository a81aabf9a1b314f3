import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { request } from 'undici';
import { expect, onTestFinished, test } from 'vitest';
import { createAdminClient } from '../../services/cli/admin-client.ts';
import { fetchText, queryRows, queryValue, waitFor } from '../../services/cli/demo/collect.ts';
import { createDemoHouse, startSandboxProcess } from '../../services/cli/demo/setup.ts';
import { houseSecret } from '../../services/platform/config.ts';

/**
 * Goal: what people write to a model, what it answers, and every key stay out of all that Reckoner keeps or says. Method: send
 * canaries through every route and every failure, then search logs, files, tables, metrics and the API for them.
 */
const PROMPT = 'canary-prompt-9d41c7';
const USER_TEXT = 'canary-user-text-77aa';

const startUp = async (configPath: string, env: Record<string, string | undefined>) => {
  const child = spawn(process.execPath, ['services/cli/bin.js', 'up', '--config', configPath], {
    env: { ...env, RECKONER_LOG_LEVEL: 'trace' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      said += chunk;
    });
  }
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  onTestFinished(async () => {
    child.kill('SIGTERM');
    await exited;
  });
  await waitFor(
    async () => said,
    (text) => text.includes('Reckoner is up') || child.exitCode !== null,
    { timeoutMs: 60_000, everyMs: 50 },
  );
  const url = (name: string): string =>
    new RegExp(`${name}\\s+(http://\\S+)`).exec(said)?.[1] ?? '';
  return {
    proxyUrl: url('proxy'),
    consoleUrl: url('console'),
    said: () => said,
    stop: async () => {
      child.kill('SIGTERM');
      await exited;
    },
  };
};

const files = (directory: string): string[] =>
  readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));

const chat = (text: string, extra: object = {}): string =>
  JSON.stringify({
    model: 'gpt-4o-mini',
    messages: [
      { role: 'system', content: `${PROMPT} system` },
      { role: 'user', content: text },
    ],
    user: 'user-7',
    ...extra,
  });

const message = (text: string, extra: object = {}): string =>
  JSON.stringify({
    model: 'claude-haiku-4-5',
    max_tokens: 100,
    messages: [{ role: 'user', content: text }],
    ...extra,
  });

const callsWithCanaries = (): { path: string; body: string }[] => {
  const text = `${PROMPT} ${USER_TEXT} [[sandbox id=c1 input=40 output=20]]`;
  const cut = `${PROMPT} [[sandbox id=c2 input=40 output=60 cut=after:20]]`;
  const refused = `${PROMPT} [[sandbox id=c3 status=400x9]]`;
  const failing = `${PROMPT} [[sandbox id=c4 status=500x9]]`;
  return [
    { path: '/openai/v1/chat/completions', body: chat(text) },
    { path: '/openai/v1/chat/completions', body: chat(text, { stream: true }) },
    { path: '/openai/v1/chat/completions', body: chat(cut, { stream: true }) },
    { path: '/openai/v1/chat/completions', body: chat(refused) },
    { path: '/openai/v1/chat/completions', body: chat(failing) },
    { path: '/openai/v1/chat/completions', body: chat(text).slice(0, -9) },
    {
      path: '/openai/v1/chat/completions',
      body: chat(text, { model: 'gpt-unknown' }),
    },
    {
      path: '/openai/v1/responses',
      body: JSON.stringify({ model: 'gpt-4.1-mini', input: text, stream: true }),
    },
    {
      path: '/openai/v1/embeddings',
      body: JSON.stringify({ model: 'text-embedding-3-small', input: text }),
    },
    { path: '/anthropic/v1/messages', body: message(text, { stream: true, system: PROMPT }) },
    { path: '/anthropic/v1/messages', body: message(cut, { stream: true }) },
    { path: '/anthropic/v1/messages', body: message(refused) },
    { path: `/openai/v1/files?name=${PROMPT}`, body: `{"note":"${PROMPT}"}` },
    { path: '/v1/chat/completions', body: chat(text) },
  ];
};

test('canary prompts, answers and keys are found nowhere: log, warehouse, files, console, metrics', async () => {
  const sandbox = await startSandboxProcess();
  onTestFinished(() => sandbox.stop());
  const demo = createDemoHouse(sandbox, '1000000', process.env);
  onTestFinished(() => demo.remove());
  const house = await startUp(demo.configPath, demo.env);
  const key = demo.keyOf('acme');
  const providerKey = demo.env['RECKONER_DEMO_PROVIDER_KEY'] ?? 'missing';
  const stripeKey = demo.env['RECKONER_DEMO_STRIPE_KEY'] ?? 'missing';
  const wrongKey = `rk_${'A'.repeat(12)}_${'b'.repeat(32)}`;

  const answers: string[] = [];
  await waitFor(
    async () =>
      (
        await request(`${house.proxyUrl}/api/v1/me/budget`, {
          headers: { authorization: `Bearer ${key}` },
        })
      ).statusCode,
    (status) => status === 200,
    { timeoutMs: 10_000, everyMs: 50 },
  );
  for (const { path, body } of callsWithCanaries()) {
    for (const secret of [key, wrongKey]) {
      const answer = await request(`${house.proxyUrl}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${secret}` },
        body,
      });
      const text = await answer.body.text().catch(() => 'cut');
      if (answer.statusCode === 200 && secret === key && !path.includes('files'))
        answers.push(text);
    }
  }
  // Words of the model's answer are as private as the prompt's.
  const answer = /"content":\s*"([^"]{20,})"/.exec(answers.join('\n'))?.[1];
  expect(answer, 'the sandbox answered with text').toBeDefined();

  const admin = createAdminClient(
    house.consoleUrl,
    houseSecret(`${demo.directory}/data`, 'bootstrap-token'),
  );
  await waitFor(
    () => admin.get<{ lag_events: number | null; events: number }>('/api/v1/totals'),
    (totals) => totals.lag_events === 0 && totals.events >= 10,
    { timeoutMs: 30_000, everyMs: 100 },
  );
  await admin.post('/api/v1/billing/push', {
    period: new Date().toISOString().slice(0, 7),
    yes: true,
  });

  const secrets = [
    PROMPT,
    USER_TEXT,
    answer ?? '',
    key.slice(16),
    wrongKey.slice(16),
    providerKey,
    stripeKey,
  ];
  const places: [string, string][] = [
    ['what the processes said', house.said()],
    ['metrics of the proxy', await fetchText(`${house.proxyUrl}/metrics`)],
    ['metrics of the back office', await fetchText(`${house.consoleUrl}/metrics`)],
    [
      'spend of the console',
      JSON.stringify(await admin.get('/api/v1/spend?by=tenant,feature,model,day')),
    ],
    ['keys of the console', JSON.stringify(await admin.get('/api/v1/keys'))],
  ];
  const columns = await queryRows(
    admin,
    `SELECT table, name FROM system.columns WHERE database = 'reckoner' AND type LIKE '%String%' AND type NOT LIKE '%Map%'`,
  );
  expect(columns.length).toBeGreaterThan(50);
  const tables = new Map<string, string[]>();
  for (const column of columns) {
    const table = column['table'] ?? '';
    tables.set(table, [...(tables.get(table) ?? []), column['name'] ?? '']);
  }
  // Tables are compressed on disk, so their text is searched by query and not in the files.
  for (const [table, names] of tables) {
    const text = names.map((name) => `toString(${name})`).join(", ' ', ");
    const found = secrets.map(
      (secret) => `position(concat(${text}, ''), '${secret.replaceAll("'", "''")}') > 0`,
    );
    const rows = await queryValue(
      admin,
      `SELECT count() FROM ${table} WHERE ${found.join(' OR ')}`,
    );
    expect(rows, `rows of ${table}`).toBe('0');
  }
  await house.stop();
  for (const path of files(`${demo.directory}/data`))
    places.push([path, readFileSync(path, 'latin1')]);
  for (const [place, text] of places) {
    for (const secret of secrets)
      expect(text.includes(secret), `${secret.slice(0, 12)}… in ${place}`).toBe(false);
  }
});
