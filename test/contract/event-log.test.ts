import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { openLmdbEventLog } from '../../services/platform/lmdb-event-log.ts';
import { createMemoryEventLog, MemoryDisk } from '../../services/platform/memory-event-log.ts';
import { eventLogContract } from './event-log.contract.ts';
import type { OpenedLog } from './event-log-kit.ts';

const openMemory = async (): Promise<OpenedLog> => {
  const disk = new MemoryDisk();
  let log = createMemoryEventLog('memory', disk);
  onTestFinished(() => log.close());
  return {
    log,
    reopen: async () => {
      await log.close();
      log = createMemoryEventLog('memory', disk);
      return log;
    },
  };
};

const openLmdb = async (): Promise<OpenedLog> => {
  const directory = mkdtempSync(join(tmpdir(), 'reckoner-log-'));
  let log = await openLmdbEventLog({ directory, name: 'lmdb' });
  onTestFinished(async () => {
    await log.close();
    rmSync(directory, { recursive: true, force: true });
  });
  return {
    log,
    reopen: async () => {
      await log.close();
      log = await openLmdbEventLog({ directory, name: 'lmdb' });
      return log;
    },
  };
};

const traits = { atomicOverTopics: true, compactsAtOnce: true, keepsOffsets: true };
eventLogContract('memory', openMemory, traits);
eventLogContract('LMDB', openLmdb, traits);
