import java.io.FileInputStream;
import java.net.InetAddress;
import java.security.KeyStore;
import java.security.Security;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.SSLSocket;

/** A TLS server on the JDK's own stack with nothing disabled: SSL 3, RC4, DES, EXPORT, anonymous, NULL. */
public class TlsServer {
    public static void main(String[] arguments) throws Exception {
        for (String name : new String[] {"jdk.tls.disabledAlgorithms", "jdk.tls.legacyAlgorithms", "jdk.certpath.disabledAlgorithms"}) {
            Security.setProperty(name, "");
        }
        System.setProperty("jdk.tls.ephemeralDHKeySize", "legacy");
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(new FileInputStream(arguments[1]), "secret".toCharArray());
        KeyManagerFactory keys = KeyManagerFactory.getInstance("SunX509");
        keys.init(store, "secret".toCharArray());
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), null, null);
        SSLServerSocket listener = (SSLServerSocket) context.getServerSocketFactory()
            .createServerSocket(Integer.parseInt(arguments[0]), 200, InetAddress.getByName("127.0.0.1"));
        listener.setEnabledProtocols(arguments[2].split(","));
        boolean all = arguments.length < 4 || arguments[3].isEmpty();
        listener.setEnabledCipherSuites(all ? listener.getSupportedCipherSuites() : arguments[3].split(","));
        while (true) {
            SSLSocket socket = (SSLSocket) listener.accept();
            new Thread(() -> {
                try (socket) {
                    socket.startHandshake();
                    socket.getInputStream().read();
                } catch (Exception error) {
                    System.out.println(error);
                }
            }).start();
        }
    }
}
