import type { LookupAddress, LookupOptions } from 'node:dns';
import { lookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { buildConnector } from 'undici';

const PRIVATE_V4: readonly (readonly [string, number])[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['168.63.129.16', 32],
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

/**
 * Link-local addresses and those under which clouds hand out credentials to whoever asks from inside (AWS and others, ECS, Alibaba,
 * Oracle, Azure's host, Google over IPv6), plain or wrapped for IPv6. No upstream lives there, so a private network is no reason to open them.
 */
const metadata = new BlockList();
metadata.addSubnet('169.254.0.0', 16, 'ipv4');
metadata.addAddress('100.100.100.200', 'ipv4');
metadata.addAddress('192.0.0.192', 'ipv4');
metadata.addAddress('168.63.129.16', 'ipv4');
metadata.addSubnet('fe80::', 10, 'ipv6');
metadata.addSubnet('fd00:ec2::', 32, 'ipv6');
metadata.addSubnet('fd20:ce::', 32, 'ipv6');
metadata.addSubnet('64:ff9b::a9fe:0', 112, 'ipv6');
metadata.addAddress('64:ff9b::6464:64c8', 'ipv6');
metadata.addSubnet('2002:a9fe::', 32, 'ipv6');

/** Whether an upstream that may be private may have this address. */
export const isPrivateAddress = (address: string): boolean => {
  const family = isIP(address);
  return family !== 0 && !metadata.check(address, family === 4 ? 'ipv4' : 'ipv6');
};

const refused = (): NodeJS.ErrnoException =>
  Object.assign(new Error('The upstream has an address that it may not have.'), {
    code: 'ERR_ADDRESS_REFUSED',
  });

/** Asks for every address of a name, as `dns.lookup` does. Tests answer for it. */
export type Resolver = (
  hostname: string,
  options: LookupOptions & { all: true },
  done: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

/** Looks names up and gives only addresses that may be, so that what is connected to is what was checked: rebinding finds no gap. */
export const checkedLookup =
  (mayBe: (address: string) => boolean, resolve: Resolver): LookupFunction =>
  (hostname, options: LookupOptions, done) => {
    resolve(hostname, { ...options, all: true }, (error, found) => {
      if (error) return done(error, '', 0);
      const addresses = found.filter((entry) => mayBe(entry.address));
      const [first] = addresses;
      if (!first) return done(refused(), '', 0);
      if (options.all) return done(null, addresses);
      return done(null, first.address, first.family);
    });
  };

const CONNECT_TIMEOUT_MS = 10_000;

/**
 * Connects upstream. Without `allowPrivate`, an address that is not public, or a connection that would carry the credential in clear,
 * is refused before anything is sent. Clouds' metadata addresses are refused always.
 */
export const createConnector = (
  allowPrivate: boolean,
  resolve: Resolver = lookup,
): buildConnector.connector => {
  const mayBe = allowPrivate ? isPrivateAddress : isPublicAddress;
  const connect = buildConnector({
    timeout: CONNECT_TIMEOUT_MS,
    lookup: checkedLookup(mayBe, resolve),
  });
  return (options, done) => {
    const host = options.hostname.replace(/^\[|\]$/g, '');
    // A literal address is never looked up.
    if (isIP(host) !== 0 && !mayBe(host)) return done(refused(), null);
    if (!allowPrivate && options.protocol !== 'https:') return done(refused(), null);
    return connect(options, done);
  };
};
