import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { ProcessConfigSchema } from '../../schemas/house-config.ts';
import { openBackOfficeLogs, openProxyLogs } from '../../services/cli/open-logs.ts';
import { createLogger } from '../../services/platform/logger.ts';

const folder = (): string => {
  const path = mkdtempSync(join(tmpdir(), 'reckoner-logs-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
};
const logger = createLogger('test', 'silent');
const optionsOf = (dataDir: string, proxyId: string) => ({
  config: ProcessConfigSchema.parse({ proxy: { id: proxyId } }),
  dataDir,
  logger,
});
/** What the back office of a house reads whose file names the proxy so. */
const readBy = async (dataDir: string, proxyId: string): Promise<string[]> => {
  const logs = await openBackOfficeLogs(optionsOf(dataDir, proxyId));
  await logs.close();
  return logs.usageEvents.map(({ name }) => name);
};

test('the back office reads the proxy its file names', async () => {
  expect(await readBy(folder(), 'edge-1')).toEqual(['edge-1']);
});

test('what a proxy wrote is still read after its id was changed', async () => {
  const dataDir = folder();
  for (const id of ['proxy-1', 'edge-1'])
    await (await openProxyLogs(optionsOf(dataDir, id))).close();
  expect(await readBy(dataDir, 'edge-1')).toEqual(['edge-1', 'proxy-1']);
});
