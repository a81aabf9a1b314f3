import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { parseDocument } from 'yaml';
import type { SecretReference } from '../../schemas/control-record.ts';
import type { HouseConfig } from '../../schemas/house-config.ts';
import { HouseConfigSchema } from '../../schemas/house-config.ts';
import { describeIssues } from './config-problems.ts';
import { ReckonerError } from './errors.ts';
import { randomText } from './id-source.ts';

/** The validated configuration with what its relative paths are relative to. Frozen; passed in, never looked up. */
export interface LoadedConfig {
  readonly config: HouseConfig;
  /** Where it came from; null when there was no file and the defaults stand. */
  readonly path: string | null;
  /** Absolute. */
  readonly dataDir: string;
  /** Absolute folders of price books and of contracts; undefined: the shipped books, no contracts. */
  readonly priceFolders: {
    readonly books: string | undefined;
    readonly contracts: string | undefined;
  };
  readonly resolveSecret: (reference: SecretReference) => string;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** The environment of this process: the one place that reads it. */
export const processEnvironment = (): Environment => process.env;

const readYaml = (path: string): unknown => {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new ReckonerError(
      'CONFIG_UNREADABLE',
      `Cannot read the configuration ${path} (${(error as NodeJS.ErrnoException).code}). Give an existing file with --config, or leave the option out to use the defaults.`,
      { cause: error },
    );
  }
  const document = parseDocument(text, { prettyErrors: true });
  const problem = document.errors[0];
  if (problem) {
    const place = problem.linePos?.[0];
    throw new ReckonerError(
      'CONFIG_INVALID',
      `${path} is not valid YAML${place ? ` at line ${place.line}, column ${place.col}` : ''} (${problem.code}). Correct that place and start again.`,
    );
  }
  return document.toJS() ?? {};
};

/** Lays the variables that every deployment sets differently over the file. */
const withEnvironment = (raw: unknown, env: Environment): unknown => {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) return raw;
  const root = structuredClone(raw) as Record<string, unknown>;
  const section = (parent: Record<string, unknown>, name: string): Record<string, unknown> => {
    const value = parent[name];
    const made = typeof value === 'object' && value !== null ? value : {};
    parent[name] = made;
    return made as Record<string, unknown>;
  };
  const processPart = section(root, 'process');
  const port = (text: string): unknown => (/^\d+$/.test(text) ? Number(text) : text);
  if (env['RECKONER_DATA_DIR']) processPart['data_dir'] = env['RECKONER_DATA_DIR'];
  if (env['RECKONER_LOG_LEVEL']) processPart['log_level'] = env['RECKONER_LOG_LEVEL'];
  if (env['RECKONER_PROXY_PORT']) {
    section(processPart, 'proxy')['port'] = port(env['RECKONER_PROXY_PORT']);
  }
  if (env['RECKONER_CONSOLE_PORT']) {
    section(processPart, 'back_office')['port'] = port(env['RECKONER_CONSOLE_PORT']);
  }
  if (env['EVENT_LOG'] === 'kafka') {
    const brokers = (env['KAFKA_BROKERS'] ?? '').split(',').filter((broker) => broker !== '');
    processPart['event_log'] = {
      kind: 'kafka',
      brokers,
      ...(env['KAFKA_PREFIX'] ? { prefix: env['KAFKA_PREFIX'] } : {}),
    };
  } else if (env['EVENT_LOG']) {
    processPart['event_log'] = { kind: env['EVENT_LOG'] };
  }
  return root;
};

/**
 * Reads a secret a reference points to. The error names the reference, never the value.
 * @throws ReckonerError CONFIG_INVALID when it is missing or empty.
 */
const secretResolver =
  (baseDir: string, env: Environment) =>
  (reference: SecretReference): string => {
    const missing = (what: string) =>
      new ReckonerError('CONFIG_INVALID', `${what}. Set it, or correct the reference.`);
    if ('env' in reference) {
      const value = env[reference.env]?.trim();
      if (!value) {
        throw missing(
          `The secret is to come from the environment variable ${reference.env}, which is not set or empty`,
        );
      }
      return value;
    }
    const path = isAbsolute(reference.file) ? reference.file : join(baseDir, reference.file);
    try {
      const value = readFileSync(path, 'utf8').trim();
      if (value) return value;
    } catch (error) {
      throw missing(
        `The secret is to come from the file ${path}, which cannot be read (${(error as NodeJS.ErrnoException).code})`,
      );
    }
    throw missing(`The secret is to come from the file ${path}, which is empty`);
  };

const folderOf = (baseDir: string, folder: string | undefined): string | undefined =>
  folder === undefined ? undefined : resolve(baseDir, folder);

/**
 * Loads `reckoner.yaml`, lays the environment over it and validates the whole.
 * @throws ReckonerError CONFIG_UNREADABLE or CONFIG_INVALID with every problem in one message.
 */
export const loadConfig = (path: string | null, env: Environment): LoadedConfig => {
  const raw = withEnvironment(path === null ? {} : readYaml(path), env);
  const parsed = HouseConfigSchema.safeParse(raw);
  if (!parsed.success) {
    throw new ReckonerError(
      'CONFIG_INVALID',
      `${describeIssues(parsed.error, raw, path ?? 'The configuration')}\nCorrect these and check with: npx reckoner config check${path === null ? '' : ` -c ${path}`}`,
    );
  }
  const baseDir = path === null ? process.cwd() : dirname(resolve(path));
  return Object.freeze({
    config: parsed.data,
    path,
    dataDir: resolve(baseDir, parsed.data.process.data_dir),
    priceFolders: {
      books: folderOf(baseDir, parsed.data.process.prices.books),
      contracts: folderOf(baseDir, parsed.data.process.prices.contracts),
    },
    resolveSecret: secretResolver(baseDir, env),
  });
};

/**
 * A secret of the house that is made at first need and kept in `data_dir` for its owner only: the pepper of the key
 * hashes, the bootstrap token. Two processes that start together agree: the first to create the file wins.
 */
export const houseSecret = (dataDir: string, name: 'pepper' | 'bootstrap-token'): string => {
  const path = join(dataDir, name);
  const draft = join(dataDir, `.${name}-${randomText(8)}`);
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    try {
      // Written whole under another name first: nobody may read half a secret.
      writeFileSync(draft, `${randomText(43)}\n`, { flag: 'wx', mode: 0o600 });
      linkSync(draft, path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    } finally {
      rmSync(draft, { force: true });
    }
    const value = readFileSync(path, 'utf8').trim();
    if (value.length >= 20) return value;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
    throw new ReckonerError(
      'DATA_DIR_UNUSABLE',
      `Cannot use the data directory ${dataDir} (${code}). Give a directory this user can write to with process.data_dir or RECKONER_DATA_DIR.`,
      { cause: error },
    );
  }
  throw new ReckonerError(
    'DATA_DIR_UNUSABLE',
    `The file ${path} is too short to be a secret. Restore it from a backup, or remove it to have a new one made; keys hashed under the old one then stop working.`,
  );
};
