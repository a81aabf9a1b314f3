import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ReckonerError } from './errors.ts';

/** Folder of the books shipped with the product. */
export const SHIPPED_BOOKS = fileURLToPath(new URL('../../pricing/books', import.meta.url));
const VERSION_FILE = /^\d{4}\.json$/;

/** A version on disk, and what changes when the file does. */
export interface VersionFile {
  path: string;
  mark: string;
}

/** Published versions of one folder, oldest first. */
export interface VersionFolder {
  /** Provider of books, name of a contract. */
  name: string;
  files: readonly VersionFile[];
}

const unreadable = (directory: string, cause: unknown): ReckonerError =>
  new ReckonerError(
    'PRICE_BOOK_INVALID',
    `The folder of price books ${directory} cannot be read (${(cause as NodeJS.ErrnoException).code ?? (cause as Error).name}); expected one folder a provider with files such as 0001.json.`,
    { cause },
  );

/** Every `<directory>/<name>/NNNN.json`, by name and number; folders without a version are left out, drafts and overlays too. */
export const listVersions = (directory: string): VersionFolder[] => {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter(
        (entry) =>
          entry.isDirectory() ||
          (entry.isSymbolicLink() && statSync(join(directory, entry.name)).isDirectory()),
      )
      .map(({ name }) => ({
        name,
        files: readdirSync(join(directory, name))
          .filter((file) => VERSION_FILE.test(file))
          .sort()
          .map((file) => {
            const path = join(directory, name, file);
            const { size, mtimeMs, ino } = statSync(path);
            return { path, mark: `${path} ${size} ${mtimeMs} ${ino}` };
          }),
      }))
      .filter(({ files }) => files.length > 0)
      .sort((left, right) => (left.name < right.name ? -1 : 1));
  } catch (cause) {
    throw unreadable(directory, cause);
  }
};

/** A version as JSON, not checked. */
export const readVersion = (path: string): unknown => {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new ReckonerError(
      'PRICE_BOOK_INVALID',
      `The price book ${path} cannot be read as JSON (${(cause as Error).name}); restore the file, published versions are never edited.`,
      { cause },
    );
  }
};

/**
 * The folder that counts for each provider, by provider: the last directory that has a version of it, whole. Nothing is mixed within one
 * provider, whose versions build on each other.
 */
export const layVersions = (directories: readonly string[]): Map<string, VersionFolder> =>
  new Map(
    directories
      .flatMap(listVersions)
      .map((folder): [string, VersionFolder] => [folder.name, folder])
      .sort(([left], [right]) => (left < right ? -1 : left > right ? 1 : 0)),
  );

/** Where the prices of a house lie. Absolute. */
export interface PriceFolders {
  /** Books of one's own, `<books>/<provider>/NNNN.json`, laid over the shipped ones provider by provider. */
  readonly books?: string | undefined;
  /** `<contracts>/<contract>/NNNN.json`. */
  readonly contracts?: string | undefined;
}

/** Which providers a folder of one's own adds, and of which it takes the shipped book's place. */
export const describeOwnBooks = (
  books: string,
): { adds: string[]; replaces: { provider: string; versions: number; shipped: number }[] } => {
  const shipped = new Map(
    listVersions(SHIPPED_BOOKS).map(({ name, files }) => [name, files.length]),
  );
  const own = existsSync(books) ? listVersions(books) : [];
  return {
    adds: own.filter(({ name }) => !shipped.has(name)).map(({ name }) => name),
    replaces: own
      .filter(({ name }) => shipped.has(name))
      .map(({ name, files }) => ({
        provider: name,
        versions: files.length,
        shipped: shipped.get(name) ?? 0,
      })),
  };
};
