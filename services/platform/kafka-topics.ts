import { setTimeout as sleep } from 'node:timers/promises';
import type { TopicName } from '../../schemas/topics.ts';
import { isCompacted, PARTITIONS, TOPICS } from '../../schemas/topics.ts';
import { ReckonerError } from './errors.ts';

export interface TopicConfig {
  topic: string;
  numPartitions: number;
  replicationFactor: number;
  configEntries: { name: string; value: string }[];
}

/** The part of the kafkajs admin client this file needs. */
export interface TopicAdmin {
  listTopics(): Promise<string[]>;
  describeCluster(): Promise<{ brokers: readonly unknown[] }>;
  createTopics(options: { topics: TopicConfig[]; waitForLeaders: boolean }): Promise<boolean>;
  fetchTopicOffsets(topic: string): Promise<unknown>;
  fetchTopicMetadata(options: { topics: string[] }): Promise<{ topics: TopicMetadata[] }>;
}

interface TopicMetadata {
  name: string;
  partitions: { leader: number }[];
}

/** A broker learns of a topic some time after the controller has created it. */
const READY_TIMEOUT_MS = 30_000;
const READY_CHECK_MS = 50;

const DAY_MS = 86_400_000;
/** Facts stay long enough for a fortnight's outage of a consumer; what people may ask for years later stays for ever. */
const RETENTION_MS = 14 * DAY_MS;
const KEPT_FOR_EVER: readonly string[] = [TOPICS.audit.name, TOPICS.deadLetters.name];

const cleanup = (topic: TopicName): { name: string; value: string }[] => {
  if (isCompacted(topic)) return [{ name: 'cleanup.policy', value: 'compact' }];
  const retentionMs = KEPT_FOR_EVER.includes(topic) ? -1 : RETENTION_MS;
  return [
    { name: 'cleanup.policy', value: 'delete' },
    { name: 'retention.ms', value: String(retentionMs) },
  ];
};

const configOf = (topic: TopicName, prefix: string, brokerCount: number): TopicConfig => {
  const replicationFactor = Math.min(3, Math.max(1, brokerCount));
  return {
    topic: prefix + topic,
    numPartitions: PARTITIONS,
    replicationFactor,
    configEntries: [
      ...cleanup(topic),
      { name: 'min.insync.replicas', value: String(Math.max(1, replicationFactor - 1)) },
      { name: 'unclean.leader.election.enable', value: 'false' },
      { name: 'message.timestamp.type', value: 'CreateTime' },
    ],
  };
};

/** Topics that live on a cluster; the others never leave the process that writes them. */
export const clusterTopics = (): TopicName[] =>
  Object.values(TOPICS)
    .filter((topic) => !topic.local)
    .map((topic) => topic.name);

/** Resolves when every topic has leaders, and those just created answer for their partitions. */
const awaitTopics = async (
  admin: TopicAdmin,
  names: string[],
  created: string[],
): Promise<TopicMetadata[]> => {
  const deadlineMs = performance.now() + READY_TIMEOUT_MS;
  for (;;) {
    try {
      const { topics } = await admin.fetchTopicMetadata({ topics: names });
      const led = topics.every(({ partitions }) => partitions.every(({ leader }) => leader >= 0));
      if (led && topics.length === names.length) {
        for (const name of created) await admin.fetchTopicOffsets(name);
        return topics;
      }
    } catch (error) {
      if (performance.now() > deadlineMs) throw error;
    }
    if (performance.now() > deadlineMs) {
      throw new ReckonerError(
        'LOG_UNREACHABLE',
        `Some of the Kafka topics ${names.join(', ')} have no leader after ${READY_TIMEOUT_MS} ms. Check that enough brokers are up.`,
        { retryable: true },
      );
    }
    await sleep(READY_CHECK_MS);
  }
};

/**
 * Creates what is missing: 12 partitions, three replicas where there are three brokers, all but one of them in step for an ack.
 * @throws CONFIG_INVALID when a topic is there with another number of partitions: keys would go to other partitions
 * than in the local logs.
 */
export const ensureTopics = async (admin: TopicAdmin, prefix: string): Promise<void> => {
  const wanted = clusterTopics();
  const present = new Set(await admin.listTopics());
  const missing = wanted.filter((topic) => !present.has(prefix + topic));
  if (missing.length > 0) {
    const { brokers } = await admin.describeCluster();
    const topics = missing.map((topic) => configOf(topic, prefix, brokers.length));
    await admin.createTopics({ topics, waitForLeaders: false });
  }
  const names = wanted.map((topic) => prefix + topic);
  const created = missing.map((topic) => prefix + topic);
  for (const { name, partitions } of await awaitTopics(admin, names, created)) {
    if (partitions.length === PARTITIONS) continue;
    throw new ReckonerError(
      'CONFIG_INVALID',
      `The Kafka topic ${name} has ${partitions.length} partitions; Reckoner places keys on ${PARTITIONS}. ` +
        'Give process.kafka another prefix, or move the topic aside and let Reckoner create it.',
    );
  }
};
