import type { ProcessConfig } from '../../schemas/house-config.ts';
import { ReckonerError } from '../platform/errors.ts';
import { sizeOfDisk, volatileFileSystem } from '../platform/log-room.ts';

/**
 * Refuses to start with a promise that this machine cannot keep: a durability that is configured and does nothing is noticed only
 * when it is needed.
 * @param dataDir the directory, which exists by now.
 * @throws ReckonerError CONFIG_INVALID.
 */
export const checkDurability = (config: ProcessConfig['proxy'], dataDir: string): void => {
  const volatile = volatileFileSystem(dataDir);
  if (config.durability === 'disk' && volatile !== null) {
    throw new ReckonerError(
      'CONFIG_INVALID',
      `process.proxy.durability is "disk", but the data directory ${dataDir} lies on ${volatile}, which is memory: a flush keeps nothing there. Give a directory on a disk with process.data_dir, or set process.proxy.durability to "process".`,
    );
  }
  const { disk_free_bytes_min: ballast } = config.pressure;
  const size = sizeOfDisk(dataDir);
  if (ballast >= size) {
    throw new ReckonerError(
      'CONFIG_INVALID',
      `process.proxy.pressure.disk_free_bytes_min is ${ballast}, but the whole disk of ${dataDir} has ${size} bytes, so no call could ever be taken. Set it lower, or give a directory on a larger disk.`,
    );
  }
};
