import type { LookupAddress, LookupOptions } from 'node:dns';
import { lookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { buildConnector } from 'undici';

const PRIVATE_V4: readonly (readonly [string, number])[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
];

const notPublicV4 = new BlockList();
for (const [net, prefix] of PRIVATE_V4) notPublicV4.addSubnet(net, prefix, 'ipv4');
/** Public IPv6 is what lies in 2000::/3 and is none of these: Teredo, documentation, 6to4. */
const globalV6 = new BlockList();
globalV6.addSubnet('2000::', 3, 'ipv6');
const notPublicV6 = new BlockList();
notPublicV6.addSubnet('2001::', 23, 'ipv6');
notPublicV6.addSubnet('2001:db8::', 32, 'ipv6');
notPublicV6.addSubnet('2002::', 16, 'ipv6');

/** Whether an address is plain public unicast. Loopback, private, link-local (cloud metadata), mapped and reserved ones are not. */
export const isPublicAddress = (address: string): boolean => {
  const family = isIP(address);
  if (family === 4) return !notPublicV4.check(address, 'ipv4');
  if (family !== 6) return false;
  return globalV6.check(address, 'ipv6') && !notPublicV6.check(address, 'ipv6');
};

const refused = (): NodeJS.ErrnoException =>
  Object.assign(new Error('The upstream has an address that is not public.'), {
    code: 'ERR_ADDRESS_REFUSED',
  });

/** Looks names up and gives only public addresses, so that what is connected to is what was checked: rebinding finds no gap. */
const publicLookup: LookupFunction = (hostname, options: LookupOptions, done) => {
  lookup(hostname, { ...options, all: true }, (error, found: LookupAddress[]) => {
    if (error) return done(error, '', 0);
    const addresses = found.filter((entry) => isPublicAddress(entry.address));
    const [first] = addresses;
    if (!first) return done(refused(), '', 0);
    if (options.all) return done(null, addresses);
    return done(null, first.address, first.family);
  });
};

const CONNECT_TIMEOUT_MS = 10_000;

/** Connects upstream. Without `allowPrivate`, an address that is not public is refused before anything is sent. */
export const createConnector = (allowPrivate: boolean): buildConnector.connector => {
  if (allowPrivate) return buildConnector({ timeout: CONNECT_TIMEOUT_MS });
  const connect = buildConnector({ timeout: CONNECT_TIMEOUT_MS, lookup: publicLookup });
  return (options, done) => {
    const host = options.hostname.replace(/^\[|\]$/g, '');
    // A literal address is never looked up.
    if (isIP(host) !== 0 && !isPublicAddress(host)) return done(refused(), null);
    return connect(options, done);
  };
};
