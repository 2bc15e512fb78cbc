/* SPDX-License-Identifier: Apache-2.0 */
package io.cczoo.spark;

import java.io.ByteArrayOutputStream;
import java.io.Closeable;
import java.io.IOException;
import java.net.SocketTimeoutException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Base64;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import jdk.net.ExtendedSocketOptions;

/**
 * One connection to the key agent of this machine (docs/reference/agent.md). The agent proves to the KMS what it is and opens wrapped keys;
 * this class knows neither attestation nor ciphers. One thread at a time.
 *
 * <p>Java tells the user of who listens, not the process: CCZ_AGENT_PID is not compared. That no other process of this user listens there is
 * for whoever starts the agent to see to (docs/reference/agent.md, "Whom a program talks to").
 */
public final class Agent implements Closeable {
    /** The environment variable that names the agent's socket; `cczoo agent run -- PROGRAM` sets it. */
    public static final String VARIABLE = "CCZ_AGENT";

    /** The agent or the KMS said no. Asking again does not help; the message says who, what was presented and what was expected. */
    public static final class Refused extends IOException {
        private static final long serialVersionUID = 1L;

        Refused(String message) {
            super(message);
        }
    }

    private static final int ANSWER_MAX = 128 * 1024;
    private static final long TIMEOUT_MS = 60_000;
    private static final Pattern NAME = Pattern.compile("[A-Za-z0-9._/-]{1,128}");
    private static final Pattern FIELD = Pattern.compile(" (\\w+)=\"([^\"]*)\"");
    /** What does not depend on who asks for what: no agent, no KMS, no memory. Everything else is a refusal. */
    private static final Pattern FAILURE = Pattern.compile("CCZ_E_(NOMEM|IO|INTERNAL|TIMEOUT|CLOSED|UNAVAILABLE)");

    private final SocketChannel channel;
    private final Selector selector;
    private final ByteBuffer in = ByteBuffer.allocate(4096).limit(0);

    /**
     * Connects, looks whose socket it is, and agrees on the version of the protocol.
     *
     * @param socket its path, with or without "unix:" before it
     */
    public Agent(String socket) throws IOException {
        String path = socket.startsWith("unix:") ? socket.substring(5) : socket;
        channel = SocketChannel.open(StandardProtocolFamily.UNIX);
        Selector made = null;
        try {
            channel.connect(UnixDomainSocketAddress.of(path));
            String owner = channel.getOption(ExtendedSocketOptions.SO_PEERCRED).user().getName();
            String self = Files.getOwner(Path.of("/proc/self")).getName();
            if (!owner.equals(self) && !owner.equals("root")) {
                throw new Refused("agent:server-uid: the socket " + path + " belongs to " + owner + ", expected " + self);
            }
            channel.configureBlocking(false);
            made = Selector.open();
            channel.register(made, SelectionKey.OP_READ);
            selector = made;
            if (!ask("hello 1").equals("1")) {
                throw new IOException("agent:version: another protocol than 1");
            }
        } catch (IOException | RuntimeException e) {
            if (made != null) {
                made.close();
            }
            channel.close();
            if (e instanceof Refused) {
                throw e;
            }
            throw new IOException("agent:connect: no key agent at " + path + ": " + e.getMessage(), e);
        }
    }

    /** Connects to the agent that the environment names. */
    public static Agent ofEnvironment() throws IOException {
        String socket = System.getenv(VARIABLE);
        if (socket == null || socket.isEmpty()) {
            throw new Refused("agent:none: this process has no key agent (" + VARIABLE + " is not set): it was started without attestation");
        }
        return new Agent(socket);
    }

    /** Opens a wrapped key with the master key of that name. */
    public byte[] unwrap(String masterKey, String wrapped) throws IOException {
        if (wrapped.length() > 512 || !wrapped.chars().allMatch(c -> c > ' ' && c < 0x7f)) {
            throw new Refused("agent:wrapped: this is no wrapped key");
        }
        return decode(ask("unwrap " + checked(masterKey) + " " + wrapped));
    }

    /** Wraps a key of 1 to 64 bytes under the latest version of the master key of that name. */
    public String wrap(String masterKey, byte[] key) throws IOException {
        return ask("wrap " + checked(masterKey) + " " + Base64.getEncoder().encodeToString(key));
    }

    /** The value of a secret. The caller wipes it when it can. */
    public byte[] secret(String name) throws IOException {
        return decode(ask("secret " + checked(name)));
    }

    private static String checked(String name) throws IOException {
        if (!NAME.matcher(name).matches()) {
            throw new Refused("agent:name: \"" + name.replaceAll("[^ -~]", "?") + "\" is no name of a key or secret");
        }
        return name;
    }

    private static byte[] decode(String text) throws IOException {
        try {
            return Base64.getDecoder().decode(text);
        } catch (IllegalArgumentException e) {
            throw new IOException("agent:answer: this is no answer of an agent");
        }
    }

    private String ask(String request) throws IOException {
        long until = System.nanoTime() + TIMEOUT_MS * 1_000_000;
        ByteBuffer out = ByteBuffer.wrap((request + "\n").getBytes(StandardCharsets.US_ASCII));
        try {
            while (out.hasRemaining() && channel.write(out) >= 0) {
                if (out.hasRemaining()) { // a socket takes a line at once, unless the agent is stuck
                    await(SelectionKey.OP_WRITE, until);
                }
            }
        } catch (SocketTimeoutException e) {
            throw e;
        } catch (IOException e) {
            // hung up: whoever was turned away was told why before that, which is what comes next
        } finally {
            Arrays.fill(out.array(), (byte) 0);
        }
        return value(readLine(until));
    }

    private void await(int operation, long until) throws IOException {
        channel.keyFor(selector).interestOps(operation);
        long left = (until - System.nanoTime()) / 1_000_000;
        if (left <= 0 || selector.select(left) == 0) {
            throw new SocketTimeoutException("agent:connection: no answer within " + TIMEOUT_MS / 1000 + " s");
        }
        selector.selectedKeys().clear();
    }

    private String readLine(long until) throws IOException {
        ByteArrayOutputStream line = new ByteArrayOutputStream();
        for (;;) {
            while (in.hasRemaining()) {
                byte b = in.get();
                if (b == '\n') {
                    return line.toString(StandardCharsets.US_ASCII);
                }
                line.write(b);
            }
            if (line.size() > ANSWER_MAX) {
                throw new IOException("agent:answer: longer than any answer");
            }
            await(SelectionKey.OP_READ, until);
            in.clear();
            int n = channel.read(in);
            in.flip();
            if (n < 0) {
                throw new IOException("agent:connection: the key agent hung up");
            }
        }
    }

    /** What is behind "ok"; a refusal or a failure as an exception. */
    static String value(String line) throws IOException {
        if (line.startsWith("ok ") && line.length() > 3) {
            return line.substring(3);
        }
        if (!line.startsWith("no rc=")) {
            throw new IOException("agent:answer: this is no answer of an agent");
        }
        String where = "agent";
        String got = "";
        String expected = "";
        String text = "";
        String hint = "";
        for (Matcher m = FIELD.matcher(line); m.find();) {
            switch (m.group(1)) {
                case "where" -> where = m.group(2);
                case "got" -> got = m.group(2);
                case "expected" -> expected = m.group(2);
                case "msg" -> text = m.group(2);
                case "hint" -> hint = " (" + m.group(2) + ")";
                default -> { } // a later version may say more
            }
        }
        boolean compared = !got.isEmpty() || !expected.isEmpty();
        String message = where + ": " + (compared ? "got " + got + ", expected " + expected : text) + hint;
        String code = line.substring(6).split(" ", 2)[0];
        if (!compared && FAILURE.matcher(code).matches()) {
            throw new IOException(message);
        }
        throw new Refused(message);
    }

    @Override
    public void close() throws IOException {
        selector.close();
        channel.close();
    }
}
