import pino from 'pino';
import { afterAll, beforeAll, describe, onTestFinished } from 'vitest';
import { newId } from '../../services/platform/id-source.ts';
import { openKafkaEventLog } from '../../services/platform/kafka-event-log.ts';
import { type KafkaBroker, kafkaMissing, startKafkaBroker } from '../helpers/kafka-broker.ts';
import { eventLogContract } from './event-log.contract.ts';
import type { OpenedLog } from './event-log-kit.ts';

const missing = kafkaMissing();

describe.skipIf(missing !== null)('on a real broker', () => {
  let broker: KafkaBroker;
  beforeAll(async () => {
    broker = await startKafkaBroker();
  });
  afterAll(() => broker?.stop());

  const openKafka = async (): Promise<OpenedLog> => {
    const config = {
      name: 'kafka',
      brokers: broker.brokers,
      prefix: `${newId()}.`,
      clientId: 'contract',
      logger: pino({ level: 'silent' }),
    };
    let log = await openKafkaEventLog(config);
    onTestFinished(() => log.close());
    return {
      log,
      reopen: async () => {
        await log.close();
        log = await openKafkaEventLog(config);
        return log;
      },
    };
  };

  eventLogContract('Kafka', openKafka, {
    atomicOverTopics: false,
    compactsAtOnce: false,
    keepsOffsets: false,
  });
});
