// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

interface IERC20 {
    function balanceOf(address holder) external view returns (uint256);
}

/// @title Many payouts in one transaction, each of them alone
/// @notice Pays up to 150 recipients out of the caller's own coins, or out of the caller's own allowance of a token. What
/// a recipient does cannot keep the others from being paid: an item that fails is credited to its recipient, who claims
/// it. Nobody owns this contract, nothing in it can be changed, and it holds nothing but what is to be claimed.
/// @dev A transaction pays its whole batch or nothing. Too little gas is never an item's failure: it reverts the batch.
contract BatchPayout {
    /// The most items of a batch. With all of them at their limits, and failing, a transaction stays below the 16,777,216
    /// gas that EIP-7825 leaves to it.
    uint256 public constant MAX_ITEMS = 150;

    /// What the recipient of coins may spend in gas, beside the 2,300 that the EVM adds to every transfer.
    uint256 public constant NATIVE_GAS = 50_000;

    /// What a token may spend on one transfer. A failing item costs 25,000 more, most of it for the slot of its claim.
    uint256 public constant TOKEN_GAS = 85_000;

    /// What must be left beside an item's limit, so that EIP-150, which keeps a 64th back, hands all of it on. A call
    /// with value costs 9,000, a cold address 2,600, one more behind it (EIP-7702) as much again.
    uint256 private constant CALL_COST = 20_000;
    uint256 private constant NATIVE_NEED = NATIVE_GAS + NATIVE_GAS / 63 + CALL_COST;
    uint256 private constant TOKEN_NEED = TOKEN_GAS + TOKEN_GAS / 63 + CALL_COST;

    /// Whether a payer's batch was paid. Ids of two payers have nothing to do with each other.
    mapping(address payer => mapping(bytes32 batchId => bool)) public done;

    /// What a recipient may claim; the token zero is the coin.
    mapping(address token => mapping(address to => uint256)) public owed;

    /// 1, or 2 during a call. So the events of one call are never mixed with those of another.
    uint256 private entered = 1;

    /// A batch was paid. `failed` is the part of `total` that was credited instead.
    event Paid(address indexed payer, bytes32 indexed batchId, address token, uint256 total, uint256 failed);
    /// The item at this index, from 0, was credited instead of paid.
    event Failed(bytes32 indexed batchId, uint256 index);
    /// What was owed was paid.
    event Claimed(address indexed token, address indexed to, uint256 amount);

    error AlreadyDone(); // the same caller paid this batch before
    error BadLength(); // no items, more than MAX_ITEMS, or as many amounts as there are not recipients
    error ZeroRecipient(uint256 index);
    error WrongValue(); // the coins sent along are not the sum of the amounts
    error TooLittleGas(); // for the next item
    error NotReceived(); // what is to be credited did not arrive in full
    error Overdrawn(); // the token took more from the caller than the sum of the amounts
    error NothingOwed();
    error ClaimFailed();
    error Reentered();

    modifier alone() {
        if (entered == 2) revert Reentered();
        entered = 2;
        _;
        entered = 1;
    }

    /// Pays amounts[i] coins to recipients[i]. The value must be their exact sum.
    function pay(bytes32 batchId, address[] calldata recipients, uint256[] calldata amounts) external payable alone {
        begin(batchId, recipients.length, amounts.length);

        // What is left of the caller's value bounds each item, so that nobody's claim can be spent, not even within a call
        // that reverts later.
        uint256 left = msg.value;
        uint256 failed;
        for (uint256 i; i < recipients.length; ++i) {
            (address to, uint256 amount) = (recipients[i], amounts[i]);
            if (to == address(0)) revert ZeroRecipient(i);
            if (amount > left) revert WrongValue();
            if (gasleft() < NATIVE_NEED) revert TooLittleGas();
            unchecked {
                left -= amount;
                if (!send(to, amount, NATIVE_GAS)) failed += credit(batchId, i, address(0), to, amount);
            }
        }
        if (left != 0) revert WrongValue();
        emit Paid(msg.sender, batchId, address(0), msg.value, failed);
    }

    /// Moves amounts[i] of the token from the caller to recipients[i], out of the caller's allowance for this contract.
    /// What fails is pulled in here, once for all; if that fails too (a token that is paused, too small an allowance),
    /// nothing was paid.
    function payToken(bytes32 batchId, address token, address[] calldata recipients, uint256[] calldata amounts) external alone {
        begin(batchId, recipients.length, amounts.length);

        bytes memory data = transferFrom();
        uint256 funds = IERC20(token).balanceOf(msg.sender); // reverts where there is no token
        uint256 total;
        uint256 failed;
        for (uint256 i; i < recipients.length; ++i) {
            (address to, uint256 amount) = (recipients[i], amounts[i]);
            if (to == address(0)) revert ZeroRecipient(i);
            if (gasleft() < TOKEN_NEED) revert TooLittleGas();
            total += amount;
            if (!callToken(token, filled(data, to, amount), TOKEN_GAS)) failed += credit(batchId, i, token, to, amount);
        }
        if (failed != 0) pull(token, filled(data, address(this), failed), failed);

        // A token that answers "false" and moves nevertheless would be paid and credited.
        if (IERC20(token).balanceOf(msg.sender) + total < funds) revert Overdrawn();
        emit Paid(msg.sender, batchId, token, total, failed);
    }

    /// Pays out what a recipient is owed, to that recipient, whoever asks; with all the gas that the caller gives.
    function claim(address token, address to) external alone {
        uint256 amount = owed[token][to];
        if (amount == 0) revert NothingOwed();
        owed[token][to] = 0;
        bool ok = token == address(0)
            ? send(to, amount, gasleft())
            : callToken(token, abi.encodeWithSignature("transfer(address,uint256)", to, amount), gasleft());
        if (!ok) revert ClaimFailed();
        emit Claimed(token, to, amount);
    }

    /// Before anything else: what a batch is, and that it happens once.
    function begin(bytes32 batchId, uint256 recipients, uint256 amounts) private {
        if (recipients == 0 || recipients > MAX_ITEMS || recipients != amounts) revert BadLength();
        if (done[msg.sender][batchId]) revert AlreadyDone();
        done[msg.sender][batchId] = true;
    }

    function credit(bytes32 batchId, uint256 index, address token, address to, uint256 amount) private returns (uint256) {
        owed[token][to] += amount;
        emit Failed(batchId, index);
        return amount;
    }

    /// Nothing is credited that this contract did not receive, whatever the token says.
    function pull(address token, bytes memory data, uint256 amount) private {
        uint256 held = IERC20(token).balanceOf(address(this));
        if (!callToken(token, data, gasleft())) revert NotReceived();
        if (IERC20(token).balanceOf(address(this)) < held + amount) revert NotReceived();
    }

    /// One buffer for the calls of a batch: each item fills in its own two words.
    function transferFrom() private view returns (bytes memory) {
        return abi.encodeWithSignature("transferFrom(address,address,uint256)", msg.sender, address(0), 0);
    }

    function filled(bytes memory data, address to, uint256 amount) private pure returns (bytes memory) {
        uint256 word = uint160(to);
        assembly ("memory-safe") {
            mstore(add(data, 68), word) // behind the length, the selector and the payer
            mstore(add(data, 100), amount)
        }
        return data;
    }

    /// A token succeeds that answers true, or nothing. What it answers beyond a word is not copied.
    function callToken(address token, bytes memory data, uint256 limit) private returns (bool ok) {
        assembly ("memory-safe") {
            ok := call(limit, token, 0, add(data, 32), mload(data), 0, 32)
            ok := and(ok, or(iszero(returndatasize()), and(gt(returndatasize(), 31), eq(mload(0), 1))))
        }
    }

    /// What the recipient answers is not copied.
    function send(address to, uint256 amount, uint256 limit) private returns (bool ok) {
        assembly ("memory-safe") {
            ok := call(limit, to, amount, 0, 0, 0, 0)
        }
    }
}
