import { systemClock } from '../platform/clock.ts';
import type { LoadedConfig } from '../platform/config.ts';
import { houseSecret } from '../platform/config.ts';
import { followControlState } from '../platform/control-state.ts';
import { followPriceBooks } from '../platform/follow-price-books.ts';
import { TAKEN_OVER } from '../platform/log-acknowledgement.ts';
import { createLogger } from '../platform/logger.ts';
import { createMetrics } from '../platform/metrics.ts';
import type { RunningService } from '../platform/running-service.ts';
import { startProxy } from '../proxy/main.ts';
import { SHIPPER_GROUP, startShipper } from '../proxy/shipper.ts';
import { checkDurability } from './check-durability.ts';
import { openProxyLogs } from './open-logs.ts';
import { announceReady, runUntilStopped } from './run-process.ts';

const CLOSE_TIMEOUT_MS = 30_000;

/**
 * `reckoner serve proxy`: the process that traffic passes through. It never opens the warehouse, and needs the back
 * office neither to start nor to serve once it has control records.
 */
export const runProxyProcess = async (loaded: LoadedConfig): Promise<number> => {
  const config = loaded.config.process;
  const logger = createLogger('proxy', config.log_level);
  const metrics = createMetrics('proxy');
  const pepper = houseSecret(loaded.dataDir, 'pepper');
  checkDurability(config.proxy, loaded.dataDir);
  const logs = await openProxyLogs({ config, dataDir: loaded.dataDir, logger });
  const prices = followPriceBooks({ folders: loaded.priceFolders, logger, metrics });
  const control = followControlState([logs.house], logs.local, systemClock);
  const proxy = await startProxy({
    config: config.proxy,
    localLog: logs.local,
    room: () => logs.local.room(),
    takenOverBy: config.event_log.kind === 'kafka' ? SHIPPER_GROUP : TAKEN_OVER,
    control,
    signals: [logs.house],
    books: prices.current,
    pepper,
    resolveSecret: loaded.resolveSecret,
    clock: systemClock,
    logger,
    metrics,
  });
  const services: RunningService[] = [prices, control, proxy];
  if (config.event_log.kind === 'kafka') {
    services.unshift(
      await startShipper({
        local: logs.local,
        kafka: logs.house,
        logger,
        metrics,
        clock: systemClock,
      }),
    );
  }
  // Ready means: control records and signals are in force. Until then it listens and answers 503.
  proxy.ready.then(
    () => {
      logger.info({ url: proxy.url }, 'proxy ready');
      announceReady({ name: 'proxy', url: proxy.url });
    },
    () => {
      // `ended` of the same service says why, and stops the process.
    },
  );
  return runUntilStopped({ services, resources: [logs], logger }, CLOSE_TIMEOUT_MS);
};
